import { createHash } from 'node:crypto';
import { CacheError } from './errors.ts';

/** The sha512 of a blob: 128 lower-case hex digits. */
export type Digest = string & { readonly brand: unique symbol };

const DIGEST = /^[0-9a-f]{128}$/;

export function isDigest(text: unknown): text is Digest {
  return typeof text === 'string' && DIGEST.test(text);
}

/** @throws CacheError `invalid-digest` */
export function parseDigest(text: string): Digest {
  if (isDigest(text)) return text;
  throw new CacheError(
    'invalid-digest',
    `not a sha512: ${quoteBriefly(text)}; 128 lower-case hex digits are expected`,
  );
}

/** The sha512 of bytes already in memory. */
export function digestOf(data: Uint8Array | string): Digest {
  return createHash('sha512').update(data).digest('hex') as Digest;
}

/** Computes a digest while bytes stream by. */
export interface Hasher {
  update(chunk: Uint8Array): void;
  /** Ends the hasher; to be called once. */
  digest(): Digest;
}

export function createHasher(): Hasher {
  const hash = createHash('sha512');
  return {
    update: (chunk) => void hash.update(chunk),
    digest: () => hash.digest('hex') as Digest,
  };
}

/** Quotes text from outside for a message: control characters escaped, no longer than a line. */
export function quoteBriefly(text: string): string {
  const quoted = JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}...` : text);
  // JSON leaves these controls unescaped, and terminals act on them.
  return quoted.replace(/[\u007f-\u009f]/g, (control) => `\\u00${control.charCodeAt(0).toString(16)}`);
}

/** The first 52 bits of a digest: enough to distinguish a million digests, in a tenth of the memory. */
export function prefixOf(digest: Digest): number {
  return parseInt(digest.slice(0, 13), 16);
}

/** A text for a person with the first 8 of the 128 digits of each sha512. */
export function withShortDigests(text: string): string {
  return text.replace(/(?<=(?<![0-9a-f])[0-9a-f]{8})[0-9a-f]{120}(?![0-9a-f])/g, '…');
}
