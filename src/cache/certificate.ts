import { createPublicKey, generateKeyPair, randomBytes, X509Certificate } from 'node:crypto';
import type { asn1 } from 'node-forge';
import { promisify } from 'node:util';
import { CacheError, throwProgrammingError } from './errors.ts';

/** A private key and the certificate that belongs to it, both PEM. */
export interface KeyPair {
  readonly privateKey: string;
  readonly certificate: string;
}

export interface CertificateRequest {
  readonly commonName: string;
  readonly days: number;
  /** Present for a TLS server's certificate: the names and IP addresses that clients will call it by. */
  readonly server?: { readonly dnsNames: readonly string[]; readonly ipAddresses: readonly string[] };
}

/** Makes an RSA key and a self-signed certificate for it. */
export async function createKeyPair(
  request: CertificateRequest & {
    /** Size of the RSA key in bits; 3072 when left out. */ readonly bits?: number;
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
 * Makes a self-signed certificate (SHA-256) for an RSA key.
 *
 * node:crypto makes the key: node-forge's own RSA takes half a minute for 4096 bits. node-forge makes the
 * certificate, which node:crypto can't, and is loaded only here because most commands never need it.
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
  // A serial number is a positive integer of at most 20 bytes (RFC 5280, 4.1.2.2): hence the leading 4.
  certificate.serialNumber = `4${randomBytes(16).toString('hex').slice(1)}`;
  // A day earlier, for machines whose clock is behind: offline sites have no time server.
  certificate.validity.notBefore = new Date(Date.now() - 86_400_000);
  certificate.validity.notAfter = new Date(Date.now() + days * 86_400_000);
  // The types of node-forge take one of its enumerations for the other. Without this tag a name is PrintableString.
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
 * A certificate whose signatures SlapOS nodes can check: they know RSA only.
 * @param where names the file or option in the message
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
 * A certificate for any use: each that counts for something here passes this.
 * @param where names the file or option in the message
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
  // Other kinds of keys tell no length in this way, and have none that is too short.
  const bits = certificate.publicKey.asymmetricKeyDetails?.modulusLength ?? Infinity;
  if (bits >= LEAST_BITS) return certificate;
  throw new CacheError(
    'config',
    `${where}: the key has only ${bits} bits, which anybody can break; use one with 2048 or more`,
  );
}

/** All certificates in a text, such as a file of authorities; whatever stands around them doesn't count. */
export function certificateBlocks(text: string): readonly string[] {
  return text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
}
