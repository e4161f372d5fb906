import type { X509Certificate } from 'node:crypto';
import { z } from 'zod';
import { quoteBriefly } from '../../cache/digest.ts';
import { CacheError, NewerFormat, throwProgrammingError } from '../../cache/errors.ts';
import {
  createTrustedCertificates,
  signerNameOf,
  type SignedDocument,
  type Signer,
  type TrustedCertificates,
} from '../../cache/signature.ts';

/** The signer according to the document itself, unverified. */
export const signedBy = z.object({
  /** PEM. */
  certificate: z.string(),
  /** SHA-256 of the certificate, as openssl writes it. */
  fingerprint: z.string(),
});

/** Bytes of a document's file; enough for a manifest of about 700 000 files. */
export const DOCUMENT_SIZE_LIMIT = 256 * 1024 * 1024;
/** Characters of a signature; a 16 384-bit key needs 2732. */
const SIGNATURE_LIMIT = 16 * 1024;

/**
 * Parses a document's file: a JSON list of the text and its signature. The file is not verified yet, so it is parsed
 * only as two strings, which can't grow larger than the file.
 * @throws CacheError `invalid-medium` naming `where`
 */
export function parseSignedDocument(content: string, where: string): SignedDocument {
  const start = content.indexOf('"');
  const end = content.lastIndexOf('"');
  const signature = content.lastIndexOf('"', end - 1);
  const textEnd = content.lastIndexOf('"', signature - 1);
  const isPair =
    start < textEnd &&
    end - signature < SIGNATURE_LIMIT &&
    isBetween(content, 0, start, '[') &&
    isBetween(content, textEnd + 1, signature, ',') &&
    isBetween(content, end + 1, content.length, ']');
  if (!isPair) {
    const isCutOff = !/[\]}]$/.test(content.slice(-64).trimEnd());
    throw isCutOff
      ? notJson(where)
      : new CacheError('invalid-medium', `${where}: not a JSON list of a text and its signature`);
  }
  return [
    String(parseJson(content.slice(start, textEnd + 1), where)),
    String(parseJson(content.slice(signature, end + 1), where)),
  ];
}

/** Whether only the character and white space are in the range. */
function isBetween(content: string, start: number, end: number, character: string): boolean {
  return end - start < 64 && content.slice(start, end).trim() === character;
}

/** @throws CacheError `invalid-medium` naming `where` */
export function parseJson(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throwProgrammingError(error);
    throw notJson(where, error);
  }
}

/** What a document is, as its text says first. */
export interface DocumentKind {
  readonly type: string;
  /** The format that this version writes and reads. */
  readonly format: number;
}

/**
 * Whether a document is of a kind: before all else, because one of a newer format may have any shape.
 * @throws NewerFormat
 */
export function isOfKind(value: unknown, { type, format }: DocumentKind, where: string): boolean {
  const kind = z.looseObject({ type: z.literal(type), format: z.unknown() }).safeParse(value);
  if (kind.success && kind.data.format !== format)
    throw new NewerFormat('invalid-medium', { where, format: kind.data.format, known: format });
  return kind.success;
}

function notJson(where: string, cause?: unknown): CacheError {
  return new CacheError('invalid-medium', `${where}: not JSON; it was cut off or changed`, { cause });
}

/** The `by` of a document. */
export function signatureOf(signer: Signer): z.infer<typeof signedBy> {
  const [certificate] = createTrustedCertificates([
    { pem: signer.certificate, where: 'certificate' },
  ]).certificates;
  return { certificate: signer.certificate, fingerprint: certificate?.fingerprint256 ?? '' };
}

/** The signer of a document: a trusted certificate, a certificate inside the document, or none. */
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

/** Characters that include a document's `by`: this program writes it before all long fields. */
const HEAD = 64 * 1024;
/** As `JSON.stringify` writes it. */
const BY = /"by":(\{"certificate":"[^"]*","fingerprint":"[^"]*"\})/;

/**
 * The certificate in the document, if it verifies the document. The rest is not parsed, because its signer is not
 * trusted.
 */
function claimedSigner(document: SignedDocument): X509Certificate | undefined {
  const [, text] = BY.exec(document[0].slice(0, HEAD)) ?? [];
  if (text === undefined) return undefined;
  try {
    const by = signedBy.parse(JSON.parse(text));
    return createTrustedCertificates([{ pem: by.certificate, where: 'by' }]).signerOfDocument(document);
  } catch (error) {
    throwProgrammingError(error);
    return undefined; // No signer to show: the signature is invalid.
  }
}

/** `"Site A" (SHA-256 AB:CD:…)`: for a person to compare. */
export function describeCertificate(certificate: X509Certificate): string {
  const { name, fingerprint } = signerNameOf(certificate);
  return `${quoteBriefly(name)} (SHA-256 ${fingerprint})`;
}
