import type { Config } from '../config/config.ts';
import type { Readiness, ReadyFault } from '../http/health.ts';
import {
  certificateState,
  faultOfAuthorities,
  faultOfDates,
  type CertificateState,
} from '../operations/certificate-state.ts';
import type { TlsMaterial } from '../operations/tls-certificate.ts';
import { listTrusted } from '../operations/trust-certificates.ts';

/** The dates of the certificates of a site. */
export interface CertificateWatch {
  /** The state of the server's own certificate; undefined without TLS. */
  readonly tls: () => CertificateState | undefined;
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
  return {
    tls() {
      const material = tls();
      return material && certificateState(material.chain, new Date());
    },
    now() {
      const now = new Date();
      const reasons: ReadyFault[] = [];
      const warnings: ReadyFault[] = [];
      for (const [what, certificates] of [
        ['the TLS certificate', tls()?.chain ?? []],
        ['the signing certificate', own],
      ] as const) {
        if (certificates.length === 0) continue;
        const outOfDate = faultOfDates(certificates, now);
        const { fault } = certificateState(certificates, now);
        if (outOfDate !== undefined) reasons.push({ code: 'certificate', reason: `${what}: ${outOfDate}` });
        else if (fault !== undefined) warnings.push({ code: 'certificate', reason: `${what}: ${fault}` });
      }
      // Clients without a certificate can still be served.
      const fault = faultOfAuthorities(tls()?.clientAuthorities ?? [], now);
      if (fault !== undefined) warnings.push({ code: 'certificate', reason: `the client CA: ${fault}` });
      return { reasons, warnings };
    },
    ends() {
      const ends = new Map<string, number>();
      const add = (use: string, validTo: string): void => {
        ends.set(use, Math.min(ends.get(use) ?? Infinity, Date.parse(validTo)));
      };
      const { chain = [], clientAuthorities = [] } = tls() ?? {};
      for (const { validTo } of chain) add('tls', validTo);
      for (const { validTo } of clientAuthorities) add('client-ca', validTo);
      for (const { certificate, from } of trusted) add(from, certificate.validTo);
      return ends;
    },
  };
}
