import type { X509Certificate } from 'node:crypto';
import { readCertificate } from '../cache/certificate.ts';
import { quoteBriefly } from '../cache/digest.ts';

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
  const ends = chain.reduce((first, { validTo }) => Math.min(first, Date.parse(validTo)), Infinity);
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

function faultOfEnd(ends: number, now: Date): string | undefined {
  if (ends - now.getTime() > SOON_MS) return undefined;
  return `it ends on ${formatTime(new Date(ends))}: renew it before`;
}

/** `2010-01-01 00:00 UTC` */
function formatTime(time: Date): string {
  return `${time.toISOString().slice(0, 16).replace('T', ' ')} UTC`;
}

/** Joins the lines of a name that has several parts. */
function quoteName(name: string): string {
  return quoteBriefly(name.replaceAll('\n', ', '));
}

/** Warns and continues, because plain HTTP and nodes with a correct clock still work. */
export function warnOfFault(path: string, certificate: string, messages: { warn(text: string): void }): void {
  const { fault } = certificateState(parseChain(certificate, path), new Date());
  if (fault !== undefined) messages.warn(`cache: ${path}: ${fault}`);
}
