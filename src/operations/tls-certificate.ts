import { createSecureContext } from 'node:tls';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { hostname, networkInterfaces } from 'node:os';
import { dirname, join } from 'node:path';
import { createKeyPair } from '../cache/certificate.ts';
import { CacheError, throwProgrammingError } from '../cache/errors.ts';
import { readIfThere, writeNew } from './files.ts';

/** What a TLS server needs, in PEM. */
export interface TlsMaterial {
  readonly certificate: string;
  readonly privateKey: string;
  /** Whose client certificates count; undefined: none is asked for. */
  readonly clientCa: string | undefined;
}

/** Where it is kept. */
export interface TlsFiles {
  readonly certificateFile: string;
  readonly keyFile: string;
  readonly clientCaFile: string | undefined;
}

/** Ten years: nobody renews a certificate in a server room without Internet. */
const DAYS = 3653;

/** The files of `tls = auto`, beside the store: a store may be copied elsewhere, a key must not go with it. */
export function autoTlsFiles(storePath: string): {
  readonly certificateFile: string;
  readonly keyFile: string;
} {
  return {
    certificateFile: join(dirname(storePath), 'server.crt'),
    keyFile: join(dirname(storePath), 'server.key'),
  };
}

/**
 * Makes a self-signed certificate for this machine where there is none yet.
 * @param names beside the host's own names and addresses
 * @returns whether it was made, and the names and addresses that a certificate made earlier doesn't hold
 */
export async function ensureTlsCertificate(
  { certificateFile, keyFile }: { readonly certificateFile: string; readonly keyFile: string },
  names: readonly string[],
): Promise<{ readonly made: boolean; readonly missing: readonly string[] }> {
  const { dnsNames, ipAddresses } = namesOfThisMachine(names);
  const present = await readIfThere(certificateFile);
  if (present !== undefined) {
    const x509 = parsePem(present, certificateFile);
    return {
      made: false,
      missing: [
        ...ipAddresses.filter((address) => x509.checkIP(address) === undefined),
        ...dnsNames.filter((name) => x509.checkHost(name) === undefined),
      ],
    };
  }
  if ((await readIfThere(keyFile)) !== undefined) {
    throw new CacheError(
      'config',
      `${keyFile} is there, but ${certificateFile}, which belongs to it, is not; restore it, or move ${keyFile} away to get a new pair`,
    );
  }
  const { privateKey, certificate } = await createKeyPair({
    commonName: hostname(),
    days: DAYS,
    server: { dnsNames, ipAddresses },
  });
  await writeNew(keyFile, privateKey, 0o600);
  await writeNew(certificateFile, certificate, 0o644);
  return { made: true, missing: [] };
}

/** "It doesn't contain any IP SANs" is the usual complaint about such certificates: all addresses go in. */
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
 * Reads the files and checks that a server can be made of them.
 * @throws CacheError `config` naming the file
 */
export async function readTlsMaterial({
  certificateFile,
  keyFile,
  clientCaFile,
}: TlsFiles): Promise<TlsMaterial> {
  const material = {
    certificate: await readPem(certificateFile),
    privateKey: await readPem(keyFile),
    clientCa: clientCaFile === undefined ? undefined : await readPem(clientCaFile),
  };
  const x509 = parsePem(material.certificate, certificateFile);
  if (clientCaFile !== undefined && material.clientCa !== undefined)
    parsePem(material.clientCa, clientCaFile);
  try {
    createSecureContext({ cert: material.certificate, key: material.privateKey, ca: material.clientCa });
    // OpenSSL compares them only when they are of one kind: an RSA key and an EC certificate get through.
    if (!x509.checkPrivateKey(createPrivateKey(material.privateKey))) throw new Error('they do not match');
  } catch (error) {
    throwProgrammingError(error);
    throw new CacheError(
      'config',
      `${keyFile} is not the unencrypted private key of ${certificateFile} (${error instanceof Error ? error.message : String(error)})`,
      { cause: error },
    );
  }
  return material;
}

/**
 * A file of certificates in PEM that a client needs to trust a server.
 * @param from which option or key names it, for messages
 * @throws CacheError `config`
 */
export async function readCaFile(path: string, from: string): Promise<string> {
  const pem = await readIfThere(path);
  if (pem === undefined) throw new CacheError('config', `${from}: there is no file ${path}`);
  parsePem(pem, `${from}: ${path}`);
  return pem;
}

/** Whether clients can use the certificate itself as their CA. */
export function isSelfSigned(certificate: string): boolean {
  const x509 = new X509Certificate(certificate);
  return x509.checkIssued(x509);
}

async function readPem(path: string): Promise<string> {
  const pem = await readIfThere(path);
  if (pem === undefined)
    throw new CacheError('config', `${path}: no such file; correct the path in config.ini`);
  return pem;
}

function parsePem(pem: string, path: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (error) {
    throwProgrammingError(error);
    throw new CacheError('config', `${path}: not a PEM certificate`, { cause: error });
  }
}
