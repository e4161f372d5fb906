import { createPublicKey, generateKeyPair, randomBytes, X509Certificate } from 'node:crypto';
import type { asn1 } from 'node-forge';
import { promisify } from 'node:util';
import { CacheError, throwProgrammingError } from './errors.ts';

/** A private key and its certificate, both PEM. */
export interface KeyPair {
  readonly privateKey: string;
  readonly certificate: string;
}

export interface CertificateRequest {
  readonly commonName: string;
  readonly days: number;
  /** The names and IP addresses of a TLS server; omit it for a signing certificate. */
  readonly server?: { readonly dnsNames: readonly string[]; readonly ipAddresses: readonly string[] };
}

/** Makes an RSA key and a self-signed certificate for it. */
export async function createKeyPair(
  request: CertificateRequest & {
    /** Size of the RSA key in bits; 3072 by default. */ readonly bits?: number;
  },
): Promise<KeyPair> {
  const { privateKey } = await promisify(generateKeyPair)('rsa', {
    modulusLength: request.bits ?? 3072,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
  });
  return { privateKey, certificate: await createCertificate(privateKey, request) };
}

/**
 * Makes a self-signed certificate (SHA-256) for an RSA key, with node-forge because node:crypto can't. Imports node-forge only
 * here: most commands don't need it.
 * @param privateKey PEM
 * @returns PEM
 */
export async function createCertificate(
  privateKey: string,
  { commonName, days, server }: CertificateRequest,
): Promise<string> {
  const { default: forge } = await import('node-forge');
  const { pki } = forge;
  const certificate = pki.createCertificate();
  const publicKey = createPublicKey(privateKey).export({ type: 'spki', format: 'pem' });
  certificate.publicKey = pki.publicKeyFromPem(publicKey.toString());
  // The leading 4 makes the serial number positive (RFC 5280, 4.1.2.2).
  certificate.serialNumber = `4${randomBytes(16).toString('hex').slice(1)}`;
  // A day earlier, for machines with slow clocks: offline sites have no time server.
  certificate.validity.notBefore = new Date(Date.now() - 86_400_000);
  certificate.validity.notAfter = new Date(Date.now() + days * 86_400_000);
  // The types of node-forge confuse two enumerations. Without this tag a name is a PrintableString.
  const utf8 = forge.asn1.Type.UTF8 as unknown as asn1.Class;
  const subject = [{ name: 'commonName', value: commonName, valueTagClass: utf8 }];
  certificate.setSubject(subject);
  certificate.setIssuer(subject);
  certificate.setExtensions([
    { name: 'subjectKeyIdentifier' },
    { name: 'basicConstraints', cA: server !== undefined, critical: true },
    server === undefined
      ? { name: 'keyUsage', digitalSignature: true, critical: true }
      : {
          name: 'keyUsage',
          digitalSignature: true,
          keyEncipherment: true,
          keyCertSign: true,
          critical: true,
        },
    ...(server === undefined
      ? []
      : [
          { name: 'extKeyUsage', serverAuth: true },
          {
            name: 'subjectAltName',
            altNames: [
              ...server.dnsNames.map((value) => ({ type: 2, value })),
              ...server.ipAddresses.map((ip) => ({ type: 7, ip })),
            ],
          },
        ]),
  ]);
  certificate.sign(pki.privateKeyFromPem(privateKey), forge.md.sha256.create());
  return pki.certificateToPem(certificate).replaceAll('\r\n', '\n');
}

/**
 * Parses a certificate of a signer: SlapOS nodes verify RSA only.
 * @param where the file or option, for the message
 * @throws CacheError `config`
 */
export function parseCertificate(pem: string, where: string): X509Certificate {
  const certificate = readCertificate(pem, where);
  const type = certificate.publicKey.asymmetricKeyType;
  if (type !== 'rsa') {
    throw new CacheError(
      'config',
      `${where}: the certificate has a key of type ${type ?? 'unknown'}; nodes verify RSA only`,
    );
  }
  return certificate;
}

/** Shorter RSA keys are broken on one machine in days. */
const LEAST_BITS = 1024;

/**
 * Parses any certificate, and refuses weak keys.
 * @param where the file or option, for the message
 * @throws CacheError `config`
 */
export function readCertificate(pem: string, where: string): X509Certificate {
  let certificate;
  try {
    certificate = new X509Certificate(pem);
  } catch (error) {
    throwProgrammingError(error);
    throw new CacheError('config', `${where}: not a PEM certificate`, { cause: error });
  }
  // Keys other than RSA have no modulus, and are long enough.
  const bits = certificate.publicKey.asymmetricKeyDetails?.modulusLength ?? Infinity;
  if (bits >= LEAST_BITS) return certificate;
  throw new CacheError(
    'config',
    `${where}: the key has only ${bits} bits, which anybody can break; use one with 2048 or more`,
  );
}

/** All PEM certificates in a text, such as a CA file; ignores any other text. */
export function certificateBlocks(text: string): readonly string[] {
  return text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
}
