import { createPrivateKey, sign, verify, type KeyObject, type X509Certificate } from 'node:crypto';
import { parseCertificate } from './certificate.ts';
import { parseEntry, withoutLineBreaks, type UnverifiedEntry, type VerifiedEntry } from './entry.ts';
import { CacheError, throwProgrammingError } from './errors.ts';

/** The algorithm of `slapos.libnetworkcache`: RSA PKCS#1 v1.5 with SHA-1 over the UTF-8 bytes (protocol.md, "An entry"). */
const ALGORITHM = 'sha1';

/**
 * The algorithm of this program's own documents: the manifest of a medium, an inventory. It differs from the one of entries,
 * so that neither signature is valid for the other.
 */
const DOCUMENT_ALGORITHM = 'sha512';

/** Makes signatures, when importing; a server never has one. */
export interface Signer {
  /** The signer's certificate in PEM. */
  readonly certificate: string;
  /** Size of the key in bits. */
  readonly bits: number;
  /** Signs the text exactly as given. */
  sign(json: string): VerifiedEntry;
  /** Signs a manifest or an inventory. */
  signDocument(text: string): SignedDocument;
}

/** A document of this program, and its signature in base64: RSA PKCS#1 v1.5 with SHA-512. */
export type SignedDocument = readonly [text: string, signature: string];

/**
 * @param files names of the two files, for messages
 * @throws CacheError `config` when a PEM is invalid or the two don't match
 */
export function createSigner(
  { privateKey, certificate }: { privateKey: string; certificate: string },
  files: { privateKey: string; certificate: string },
): Signer {
  let key: KeyObject;
  try {
    key = createPrivateKey(privateKey);
  } catch (error) {
    throwProgrammingError(error);
    throw new CacheError('config', `${files.privateKey}: not an unencrypted private key in PEM`, {
      cause: error,
    });
  }
  const x509 = parseCertificate(certificate, files.certificate);
  if (!x509.checkPrivateKey(key)) {
    throw new CacheError(
      'config',
      `${files.privateKey} and ${files.certificate} do not match; provide the certificate of this key, or move both away to get a new pair`,
    );
  }
  return {
    certificate: x509.toString(),
    bits: key.asymmetricKeyDetails?.modulusLength ?? 0,
    sign: (json) =>
      parseEntry([json, sign(ALGORITHM, Buffer.from(json, 'utf8'), key).toString('base64')]) as VerifiedEntry,
    signDocument: (text) => [
      text,
      sign(DOCUMENT_ALGORITHM, Buffer.from(text, 'utf8'), key).toString('base64'),
    ],
  };
}

/** The trusted certificates (`signature-certificate-list`). Ignores dates and chains, as nodes do. */
export interface TrustedCertificates {
  readonly certificates: readonly X509Certificate[];
  /** The certificate that verifies the entry, the first in the list's order. */
  signerOf(entry: UnverifiedEntry): X509Certificate | undefined;
  /** @throws CacheError `untrusted` */
  verify(entry: UnverifiedEntry): VerifiedEntry;
  /** The certificate that verifies a document, the first in the list's order. */
  signerOfDocument(document: SignedDocument): X509Certificate | undefined;
}

/** The trusted signer of an entry, for a person. */
export interface SignerName {
  /** The CN of the certificate, or else its whole subject. */
  readonly name: string;
  /** SHA-256, `AB:CD:…`. */
  readonly fingerprint: string;
}

export function signerNameOf({ subject, fingerprint256 }: X509Certificate): SignerName {
  return { name: /^CN=(.*)$/m.exec(subject)?.[1] ?? subject, fingerprint: fingerprint256 };
}

/**
 * @param pems PEM certificates, each with its file or option for messages
 * @throws CacheError `config`
 */
export function createTrustedCertificates(
  pems: readonly { readonly pem: string; readonly where: string }[],
): TrustedCertificates {
  const certificates = pems.map(({ pem, where }) => parseCertificate(pem, where));
  const keys = certificates.map((certificate) => ({ certificate, key: certificate.publicKey }));
  const find = (
    algorithm: string,
    [text, signature]: readonly [string, string],
  ): X509Certificate | undefined => {
    const bytes = decodeSignature(signature);
    if (bytes === undefined) return undefined;
    const signed = Buffer.from(text, 'utf8');
    return keys.find(({ key }) => verify(algorithm, signed, key, bytes))?.certificate;
  };
  const signerOf = ({ pair }: UnverifiedEntry): X509Certificate | undefined => find(ALGORITHM, pair);
  return {
    certificates,
    signerOf,
    signerOfDocument: (document) => find(DOCUMENT_ALGORITHM, document),
    verify: (entry) => {
      if (signerOf(entry) !== undefined) return entry as VerifiedEntry;
      throw new CacheError(
        'untrusted',
        entry.pair[1] === ''
          ? 'the entry is not signed'
          : 'no trusted certificate verifies the signature; to trust it, add its certificate to signature-certificate-list',
      );
    },
  };
}

/** For the rare site with `[upload] allow-unsigned`. Refuses an entry with a signature. */
export function acceptUnsigned(entry: UnverifiedEntry): VerifiedEntry {
  if (entry.pair[1] !== '') throw new CacheError('untrusted', 'the entry has an untrusted signature');
  return entry as VerifiedEntry;
}

/**
 * Accepts only base64 that Python and Node decode alike: Python's decoder drops invalid characters, Node's reads base64url.
 * Old clients broke the text into lines.
 */
function decodeSignature(text: string): Buffer | undefined {
  const joined = withoutLineBreaks(text);
  const bytes = Buffer.from(joined, 'base64');
  return bytes.length > 0 && bytes.toString('base64') === joined ? bytes : undefined;
}
