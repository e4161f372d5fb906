import type { X509Certificate } from 'node:crypto';
import { quoteBriefly } from '../cache/digest.ts';
import { formatTime } from '../cache/time.ts';

/** The server's certificate, then its issuers as far as they were sent or are known. */
export type Chain = readonly X509Certificate[];

interface Refused {
  /** The requested host. */
  readonly host: string;
  readonly chain: Chain;
  readonly now: Date;
}

const GIVE = 'name its file with --ca FILE or [upstream] ca-file';

/**
 * Explains why a certificate was refused, and what to do. The codes are in Node's documentation of tls, "X509 certificate
 * error codes".
 * @returns undefined when something else failed
 */
export function explainCertificate(
  { code, message }: { readonly code: string; readonly message: string },
  refused: Refused,
): string | undefined {
  if (
    /KEY_TOO_SMALL|MD_TOO_WEAK/.test(code) ||
    /(?:key|digest algorithm|md) too (?:weak|small)/.test(message)
  )
    return `the certificate of ${refused.host}, or of a CA above it, is too weak (${quoteBriefly(message)}); replace it, with an RSA key of 2048 bits or more`;
  const explain = EXPLANATIONS.get(code);
  if (explain !== undefined) return explain(refused);
  // Rare codes of OpenSSL. Node's own codes begin with ERR_.
  return !code.startsWith('ERR_') && /UNSPECIFIED|CERT|ISSUER|CRL/.test(code)
    ? `the certificate of ${refused.host} is refused (${quoteBriefly(message)})`
    : undefined;
}

const EXPLANATIONS = new Map<string, (refused: Refused) => string>([
  ['CERT_HAS_EXPIRED', (refused) => outOfDate(refused, ({ validTo }) => new Date(validTo) < refused.now)],
  [
    'CERT_NOT_YET_VALID',
    (refused) => outOfDate(refused, ({ validFrom }) => new Date(validFrom) > refused.now),
  ],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', selfSigned],
  ['SELF_SIGNED_CERT_IN_CHAIN', unknownAuthority],
  ['UNABLE_TO_GET_ISSUER_CERT', missingIssuer],
  ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', missingIssuer],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', missingIssuer],
  ['ERR_TLS_CERT_ALTNAME_INVALID', otherName],
  ['HOSTNAME_MISMATCH', otherName],
  ['INVALID_PURPOSE', otherPurpose],
  ['INVALID_CA', otherPurpose],
  ['PATH_LENGTH_EXCEEDED', otherPurpose],
  ['CERT_CHAIN_TOO_LONG', otherPurpose],
  ['CERT_REVOKED', takenBack],
  ['CERT_REJECTED', takenBack],
  ['CERT_UNTRUSTED', takenBack],
  ['CERT_SIGNATURE_FAILURE', otherKey],
]);

function outOfDate({ host, chain, now }: Refused, isOut: (one: X509Certificate) => boolean): string {
  const index = Math.max(0, chain.findIndex(isOut));
  const certificate = chain[index];
  if (certificate === undefined) return `the certificate of ${host} is not valid at ${formatTime(now)}`;
  const { validFrom, validTo } = certificate;
  const whose = index === 0 ? host : `the CA ${quoteName(certificate.subject)}`;
  const limit =
    new Date(validTo) < now
      ? `expired on ${formatTime(new Date(validTo))}`
      : `is not valid before ${formatTime(new Date(validFrom))}`;
  return `the certificate of ${whose} ${limit}; this machine's clock says ${formatTime(now)}: set the clock that is wrong, or renew the certificate${index === 0 ? '' : ', there or in --ca FILE or [upstream] ca-file'}`;
}

function selfSigned({ host }: Refused): string {
  return `the certificate of ${host} is self-signed and unknown; copy its file from there (with tls = auto: server.crt), and name it with --ca FILE or [upstream] ca-file`;
}

function unknownAuthority({ host, chain }: Refused): string {
  return `the CA ${quoteName(chain.at(-1)?.subject)} of ${host} is unknown; name its certificate with --ca FILE or [upstream] ca-file`;
}

/** OpenSSL reports a missing root and a missing intermediate certificate alike. */
function missingIssuer({ host, chain }: Refused): string {
  return `the certificate of ${quoteName(chain.at(-1)?.issuer)} is neither known nor sent by ${host}; if it is a CA, ${GIVE}; if it is an intermediate certificate, append it to the server's certificate file there`;
}

function otherName({ chain }: Refused): string {
  const names = chain[0]?.subjectAltName;
  const told = names === undefined ? '; use that name' : `: ${quoteBriefly(names)}; use one of these`;
  return `its certificate is for another name${told}`;
}

function otherPurpose({ host }: Refused): string {
  return `the certificate of ${host}, or of a CA above it, is not valid for a server; it needs one for servers (serverAuth), issued by a CA (CA:TRUE)`;
}

function takenBack({ host }: Refused): string {
  return `the certificate of ${host} was revoked; replace it`;
}

function otherKey({ host, chain }: Refused): string {
  return `the certificate of ${host} is signed by another CA ${quoteName(chain.at(-1)?.issuer)} than the known one of that name; ${GIVE}`;
}

/** A distinguished name on one line: Node puts each part on its own line. */
function quoteName(name: string | undefined): string {
  return quoteBriefly((name ?? '?').replaceAll('\n', ', '));
}
