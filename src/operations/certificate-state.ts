import type { X509Certificate } from 'node:crypto';
import { readCertificate } from '../cache/certificate.ts';
import { quoteBriefly } from '../cache/digest.ts';
import { formatTime } from '../cache/time.ts';

/** Whether a server's certificate and its chain are fit for use. */
export interface CertificateState {
  /** Earliest end in the chain; ISO 8601. */
  readonly expires: string;
  /** The fault for the operator, without the file's name. */
  readonly fault?: string;
}

/** Long enough to get a new certificate by post. */
const SOON_MS = 14 * 86_400_000;

/** @param chain the server's own certificate first; at least one */
export function certificateState(chain: readonly X509Certificate[], now: Date): CertificateState {
  const ends = firstEnd(chain);
  const outOfDate = faultOfDates(chain, now);
  const fault =
    outOfDate === undefined
      ? (faultOfOrder(chain) ?? faultOfEnd(ends, now))
      : `${outOfDate}: nodes refuse it; renew it, or set the clock`;
  return { expires: new Date(ends).toISOString(), ...(fault !== undefined && { fault }) };
}

/** A certificate without surrounding text, such as openssl's description. */
const BLOCK = /-----BEGIN CERTIFICATE-----[^-]*(?:-----END CERTIFICATE-----)?/g;

/**
 * All certificates of a file, in order.
 * @param path for messages
 * @throws CacheError `config`: there is none, or one can't be read
 */
export function parseChain(pem: string, path: string): readonly X509Certificate[] {
  const blocks = pem.match(BLOCK) ?? [pem];
  return blocks.map((block, index) =>
    readCertificate(block, index === 0 ? path : `${path}, certificate ${index + 1}`),
  );
}

/** A certificate outside its dates; undefined if all are valid. */
export function faultOfDates(chain: readonly X509Certificate[], now: Date): string | undefined {
  for (const [index, { validFrom, validTo, subject }] of chain.entries()) {
    const [from, to] = [new Date(validFrom), new Date(validTo)];
    if (from <= now && now <= to) continue;
    const which = index === 0 ? 'it' : `the certificate of ${quoteName(subject)} in it`;
    const limit = to < now ? `expired on ${formatTime(to)}` : `is not valid before ${formatTime(from)}`;
    return `${which} ${limit}; this machine's clock says ${formatTime(now)}`;
  }
  return undefined;
}

/** Each certificate must be followed by its issuer's (RFC 5246, 7.4.2); the root is optional. */
function faultOfOrder(chain: readonly X509Certificate[]): string | undefined {
  const isIssued = (one: X509Certificate, by: X509Certificate): boolean => one !== by && one.checkIssued(by);
  for (const [index, certificate] of chain.slice(0, -1).entries()) {
    const next = chain[index + 1];
    if (next === undefined || isIssued(certificate, next)) continue;
    if (chain.some((other) => isIssued(certificate, other)))
      return 'its chain is in the wrong order: each certificate must be followed by its issuer';
    const names = `${quoteName(certificate.issuer)}, which issued ${quoteName(certificate.subject)}`;
    return `its chain is cut: the certificate of ${names}, is missing behind it`;
  }
  return undefined;
}

/** Milliseconds since 1970. */
function firstEnd(certificates: readonly X509Certificate[]): number {
  return certificates.reduce((first, { validTo }) => Math.min(first, Date.parse(validTo)), Infinity);
}

function faultOfEnd(ends: number, now: Date): string | undefined {
  if (ends - now.getTime() > SOON_MS) return undefined;
  return `it ends on ${formatTime(new Date(ends))}: renew it before`;
}

/** Joins the lines of a name that has several parts. */
function quoteName(name: string): string {
  return quoteBriefly(name.replaceAll('\n', ', '));
}

/** A fault of the CAs of client certificates: one is outside its dates, or ends soon. They need no order. */
export function faultOfAuthorities(authorities: readonly X509Certificate[], now: Date): string | undefined {
  const outOfDate = faultOfDates(authorities, now);
  return outOfDate === undefined
    ? faultOfEnd(firstEnd(authorities), now)
    : `${outOfDate}: no certificate of a client that it issued counts; renew it, or set the clock`;
}
