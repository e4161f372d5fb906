import type { X509Certificate } from 'node:crypto';
import { z } from 'zod';
import { quoteBriefly } from '../../cache/digest.ts';
import { CacheError, throwProgrammingError } from '../../cache/errors.ts';
import {
  createTrustedCertificates,
  type SignedDocument,
  type Signer,
  type TrustedCertificates,
} from '../../cache/signature.ts';

/** Who signed, as the document itself tells it. Nobody need believe it. */
export const signedBy = z.object({
  /** PEM. */
  certificate: z.string(),
  /** SHA-256 of the certificate, as openssl writes it. */
  fingerprint: z.string(),
});

const documentPair = z.tuple([z.string(), z.string()]);

/**
 * A file that holds a document: a JSON list of the text and its signature.
 * @throws CacheError `invalid-medium` naming `where`
 */
export function parseSignedDocument(content: string, where: string): SignedDocument {
  const pair = documentPair.safeParse(parseJson(content, where));
  if (pair.success) return pair.data;
  throw new CacheError('invalid-medium', `${where}: not a JSON list of a text and its signature`);
}

/** @throws CacheError `invalid-medium` naming `where` */
export function parseJson(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throwProgrammingError(error);
    throw new CacheError('invalid-medium', `${where}: not JSON; it was cut off or changed`, {
      cause: error,
    });
  }
}

/** What a document tells of its signer. */
export function signatureOf(signer: Signer): z.infer<typeof signedBy> {
  const [certificate] = createTrustedCertificates([
    { pem: signer.certificate, where: 'certificate' },
  ]).certificates;
  return { certificate: signer.certificate, fingerprint: certificate?.fingerprint256 ?? '' };
}

/** Who made a signature: a certificate that is trusted, one that the document brings with it, or nobody. */
export type Signature =
  | { readonly kind: 'trusted' | 'stranger'; readonly certificate: X509Certificate }
  | { readonly kind: 'none' | 'wrong' };

export function judgeSignature(document: SignedDocument, trusted: TrustedCertificates): Signature {
  if (document[1] === '') return { kind: 'none' };
  const signer = trusted.signerOfDocument(document);
  if (signer !== undefined) return { kind: 'trusted', certificate: signer };
  const certificate = claimedSigner(document);
  return certificate === undefined ? { kind: 'wrong' } : { kind: 'stranger', certificate };
}

/** The certificate in the document, where it verifies the document. */
function claimedSigner(document: SignedDocument): X509Certificate | undefined {
  try {
    const { by } = z.looseObject({ by: signedBy }).parse(JSON.parse(document[0]));
    return createTrustedCertificates([{ pem: by.certificate, where: 'by' }]).signerOfDocument(document);
  } catch (error) {
    throwProgrammingError(error);
    return undefined; // Nothing that could be shown as a signer: the signature is simply wrong.
  }
}

/** `"Site A" (SHA-256 AB:CD:…)`: what a person compares. */
export function describeCertificate({ subject, fingerprint256 }: X509Certificate): string {
  const name = /^CN=(.*)$/m.exec(subject)?.[1] ?? subject;
  return `${quoteBriefly(name)} (SHA-256 ${fingerprint256})`;
}
