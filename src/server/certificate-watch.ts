import type { Config } from '../config/config.ts';
import type { Readiness, ReadyFault } from '../http/health.ts';
import { certificateState, faultOfDates, parseChain } from '../operations/certificate-state.ts';
import type { TlsMaterial } from '../operations/tls-certificate.ts';
import { listTrusted } from '../operations/trust-certificates.ts';

/** The dates of the certificates of a site. */
export interface CertificateWatch {
  /** Certificates that are out of date; warnings have other faults of the chain, such as an end in two weeks. */
  readonly now: () => Readiness;
  /** The first end of the certificates of each use, in milliseconds since 1970. */
  readonly ends: () => ReadonlyMap<string, number>;
}

/** @param tls the certificate that the server uses now @throws CacheError `config` */
export async function createCertificateWatch(
  config: Config,
  tls: () => TlsMaterial | undefined,
): Promise<CertificateWatch> {
  const trusted = await listTrusted(config);
  const own = trusted.filter(({ from }) => from === 'own').map(({ certificate }) => certificate);
  let read: { readonly material: TlsMaterial; readonly chain: ReturnType<typeof parseChain> } | undefined;
  const chain = (): ReturnType<typeof parseChain> => {
    const material = tls();
    if (material === undefined) return [];
    if (read?.material !== material) read = { material, chain: parseChain(material.certificate, 'TLS') };
    return read.chain;
  };
  return {
    now() {
      const now = new Date();
      const reasons: ReadyFault[] = [];
      const warnings: ReadyFault[] = [];
      for (const [what, certificates] of [
        ['the TLS certificate', chain()],
        ['the signing certificate', own],
      ] as const) {
        if (certificates.length === 0) continue;
        const outOfDate = faultOfDates(certificates, now);
        const { fault } = certificateState(certificates, now);
        if (outOfDate !== undefined) reasons.push({ code: 'certificate', reason: `${what}: ${outOfDate}` });
        else if (fault !== undefined) warnings.push({ code: 'certificate', reason: `${what}: ${fault}` });
      }
      return { reasons, warnings };
    },
    ends() {
      const ends = new Map<string, number>();
      const add = (use: string, validTo: string): void => {
        ends.set(use, Math.min(ends.get(use) ?? Infinity, Date.parse(validTo)));
      };
      for (const { validTo } of chain()) add('tls', validTo);
      for (const { certificate, from } of trusted) add(from, certificate.validTo);
      return ends;
    },
  };
}
