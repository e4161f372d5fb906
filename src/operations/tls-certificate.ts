import { createSecureContext } from 'node:tls';
import { createPrivateKey, type X509Certificate } from 'node:crypto';
import { hostname, networkInterfaces } from 'node:os';
import {
  createKeyPair,
  createCertificate,
  type CertificateRequest,
  certificateBlocks,
  readCertificate,
} from '../cache/certificate.ts';
import { CacheError, messageOf, throwProgrammingError } from '../cache/errors.ts';
import { readIfThere, writeNew, replaceFile } from './files.ts';
import { faultOfDates, parseChain } from './certificate-state.ts';
import type { TlsFiles } from './site-paths.ts';

/** What a TLS server needs: PEM texts, and their certificates. */
export interface TlsMaterial {
  readonly certificate: string;
  readonly privateKey: string;
  /** CA of client certificates; undefined: the server requests none. */
  readonly clientCa: string | undefined;
  /** The certificates of `certificate`, the server's own first. */
  readonly chain: readonly X509Certificate[];
  /** Those of `clientCa`. */
  readonly clientAuthorities: readonly X509Certificate[];
}

/** Ten years, because certificates in an offline server room are rarely renewed. */
const DAYS = 3653;

export interface EnsuredCertificate {
  /** `made`: newly made or renewed. `restored`: an earlier certificate is used again. */
  readonly outcome: 'unchanged' | 'made' | 'restored';
  /** The fault of the previous certificate. */
  readonly fault?: string;
  /** Names and addresses that the existing certificate lacks. */
  readonly missing: readonly string[];
}

type AutoFiles = Pick<TlsFiles, 'certificateFile' | 'keyFile'>;

/**
 * Makes a self-signed certificate for this machine if there is none, or if the clock is outside its dates.
 * @param names in addition to the host's own names and addresses
 * @throws CacheError `config`, `storage`
 */
export async function ensureTlsCertificate(
  files: AutoFiles,
  names: readonly string[],
): Promise<EnsuredCertificate> {
  const { certificateFile, keyFile } = files;
  const server = namesOfThisMachine(names);
  const request = { commonName: hostname(), days: DAYS, server };
  const present = await readIfThere(certificateFile);
  if (present !== undefined) {
    const x509 = parsePem(present, certificateFile);
    const fault = faultOfDates([x509], new Date());
    if (fault !== undefined && isOwn(x509))
      return { outcome: await renew(x509, files, request), fault, missing: [] };
    const { dnsNames, ipAddresses } = server;
    return {
      outcome: 'unchanged',
      missing: [
        ...ipAddresses.filter((address) => x509.checkIP(address) === undefined),
        ...dnsNames.filter((name) => x509.checkHost(name) === undefined),
      ],
    };
  }
  if ((await readIfThere(keyFile)) !== undefined) {
    throw new CacheError(
      'config',
      `${keyFile} exists, but its certificate ${certificateFile} does not; restore it, or move ${keyFile} away to get a new pair`,
    );
  }
  const { privateKey, certificate } = await createKeyPair(request);
  await writeNew(keyFile, privateKey, 0o600);
  await writeNew(certificateFile, certificate, 0o644);
  return { outcome: 'made', missing: [] };
}

/**
 * Replaces a certificate that is invalid by the clock with another one for the same key. Keeps the one that ends
 * last: a clock that was wrong for a while must not cost the certificate that all nodes have.
 */
async function renew(
  present: X509Certificate,
  { certificateFile, keyFile }: AutoFiles,
  request: CertificateRequest,
): Promise<'made' | 'restored'> {
  const keptFile = `${certificateFile}.replaced`;
  const { privateKey } = await readTlsMaterial({ certificateFile, keyFile, clientCaFile: undefined });
  const text = await readIfThere(keptFile);
  const kept = text === undefined ? undefined : parsePem(text, keptFile);
  if (kept === undefined) await writeNew(keptFile, present.toString(), 0o644);
  else if (new Date(kept.validTo) < new Date(present.validTo))
    await replaceFile(keptFile, present.toString());
  const isGoodAgain =
    kept?.checkPrivateKey(createPrivateKey(privateKey)) === true &&
    faultOfDates([kept], new Date()) === undefined;
  const next = isGoodAgain ? kept.toString() : await createCertificate(privateKey, request);
  await replaceFile(certificateFile, next);
  return isGoodAgain ? 'restored' : 'made';
}

/** False for a certificate from another issuer that replaced the self-signed one. */
function isOwn(x509: X509Certificate): boolean {
  return isSelfSigned(x509) && x509.publicKey.asymmetricKeyType === 'rsa';
}

/** Includes all addresses, because clients reject a certificate that "doesn't contain any IP SANs". */
function namesOfThisMachine(more: readonly string[]): {
  dnsNames: readonly string[];
  ipAddresses: readonly string[];
} {
  const own = Object.values(networkInterfaces()).flatMap((addresses) =>
    (addresses ?? []).map(({ address }) => address),
  );
  const isAddress = (name: string): boolean => /^[0-9.]+$/.test(name) || name.includes(':');
  return {
    dnsNames: [...new Set([hostname(), 'localhost', ...more.filter((name) => !isAddress(name))])],
    ipAddresses: [...new Set(['127.0.0.1', '::1', ...own, ...more.filter(isAddress)])],
  };
}

/**
 * Reads the files and checks that they work in a server.
 * @throws CacheError `config` naming the file
 */
export async function readTlsMaterial({
  certificateFile,
  keyFile,
  clientCaFile,
}: TlsFiles): Promise<TlsMaterial> {
  const certificate = await readPem(certificateFile);
  const privateKey = await readPem(keyFile);
  const clientCa = clientCaFile === undefined ? undefined : await readPem(clientCaFile);
  const chain = parseChain(certificate, certificateFile);
  const clientAuthorities = clientCa === undefined ? [] : parseChain(clientCa, clientCaFile ?? '');
  try {
    const key = createPrivateKey(privateKey);
    const place = chain.findIndex((one) => one.checkPrivateKey(key));
    if (place > 0) {
      throw new CacheError(
        'config',
        `${certificateFile}: its chain is in the wrong order: the server's own certificate, which is number ${place + 1}, must come first`,
      );
    }
    // OpenSSL compares only keys of the same kind: an RSA key with an EC certificate passes.
    if (place === -1) throw new Error('they do not match');
    createSecureContext({ cert: certificate, key: privateKey, ca: clientCa });
  } catch (error) {
    throwProgrammingError(error);
    if (error instanceof CacheError) throw error;
    const reason = messageOf(error);
    const what = /too (?:small|weak)/.test(reason)
      ? `${certificateFile}: too weak for TLS (${reason}); make it anew, with RSA of 2048 bits or more`
      : `${keyFile} is not the unencrypted private key of ${certificateFile} (${reason})`;
    throw new CacheError('config', what, { cause: error });
  }
  return { certificate, privateKey, clientCa, chain, clientAuthorities };
}

/**
 * A PEM file of certificates that a client needs to trust a server.
 * @param from the option or key that names the file, for messages
 * @throws CacheError `config`
 */
export async function readCaFile(path: string, from: string): Promise<string> {
  const pem = await readIfThere(path);
  if (pem === undefined) throw new CacheError('config', `${from}: there is no file ${path}`);
  parsePem(pem, `${from}: ${path}`);
  return pem;
}

/** Whether clients can use the certificate itself as their CA. */
export function isSelfSigned(x509: X509Certificate): boolean {
  return x509.checkIssued(x509);
}

async function readPem(path: string): Promise<string> {
  const pem = await readIfThere(path);
  if (pem === undefined)
    throw new CacheError('config', `${path}: no such file; correct the path in config.ini`);
  return pem;
}

/** The first certificate of a file; the others are parsed, too. */
function parsePem(pem: string, path: string): X509Certificate {
  for (const block of certificateBlocks(pem)) readCertificate(block, path);
  return readCertificate(pem, path);
}
