import { z } from 'zod';
import type { Blobs } from '../../cache/blobs.ts';
import { isDigest, type Digest } from '../../cache/digest.ts';
import { noneIfDamaged, type Directory } from '../../cache/directory.ts';
import { CacheError, shortReasonOf } from '../../cache/errors.ts';
import type { Key } from '../../cache/key.ts';
import type { SignedDocument, Signer, TrustedCertificates } from '../../cache/signature.ts';
import { readSmallFile } from '../../files/small-file.ts';
import {
  DOCUMENT_SIZE_LIMIT,
  isOfKind,
  judgeSignature,
  parseJson,
  parseSignedDocument,
  signatureOf,
  signedBy,
  type DocumentKind,
  type Signature,
} from './signed-document.ts';

const KIND: DocumentKind = { type: 'shacache-inventory', format: 1 };

const digest = z.custom<Digest>(isDigest, 'must be 128 lower-case hex digits');

const inventory = z.object({
  created: z.iso.datetime(),
  /** Absent if the site has no key. */
  by: signedBy.optional(),
  entries: z.array(
    z.object({
      key: z.string(),
      entry: digest,
      sha512: digest,
      /** Bytes of the blob; absent if the site lacks it. */
      size: z.int().nonnegative().optional(),
    }),
  ),
});

/** Entries and blobs of a site. */
export interface Inventory {
  readonly created: string;
  /** Signature of the inventory. A wrong inventory can only make a medium incomplete. */
  readonly signature: Signature;
  hasEntry(key: Key, entry: Digest): boolean;
  /** Bytes; undefined if the site lacks the blob. */
  blobSize(sha512: Digest): number | undefined;
}

/** Lists the entries and blobs of a store; signed, if there is a signer. Reads every entry. */
export async function takeInventory(
  { blobs, directory }: { readonly blobs: Blobs; readonly directory: Directory },
  signer: Signer | undefined,
): Promise<SignedDocument> {
  const keys = new Set<Key>();
  for await (const { key } of directory.list()) keys.add(key);
  const entries: z.infer<typeof inventory>['entries'] = [];
  for (const key of [...keys].sort()) {
    for (const entry of await directory.entries(key).catch(noneIfDamaged)) {
      const size = await blobs.size(entry.sha512);
      const { digest: name, sha512 } = entry;
      entries.push({ key, entry: name, sha512, ...(size === undefined ? {} : { size }) });
    }
  }
  const content = { ...KIND, created: new Date().toISOString() };
  if (signer === undefined) return [JSON.stringify({ ...content, entries }), ''];
  return signer.signDocument(JSON.stringify({ ...content, by: signatureOf(signer), entries }));
}

/**
 * Reads the inventory from a file.
 * @throws CacheError `usage`: the file is missing; `invalid-medium`: it is no inventory; `untrusted`: it was changed
 * after signing
 */
export async function readInventory(path: string, trusted: TrustedCertificates): Promise<Inventory> {
  const document = parseSignedDocument(await readText(path), path);
  const signature = judgeSignature(document, trusted);
  if (signature.kind === 'wrong') {
    throw new CacheError(
      'untrusted',
      `${path}: the signature does not match the text, which was changed after signing; make it again with: cache inventory`,
    );
  }
  const value = parseJson(document[0], path);
  const parsed = isOfKind(value, KIND, path) ? inventory.safeParse(value) : undefined;
  if (!parsed?.success)
    throw new CacheError('invalid-medium', `${path}: not an inventory; make one with: cache inventory`);
  const entries = new Set<string>();
  const sizes = new Map<Digest, number>();
  for (const { key, entry, sha512, size } of parsed.data.entries) {
    entries.add(`${key} ${entry}`);
    if (size !== undefined) sizes.set(sha512, size);
  }
  return {
    created: parsed.data.created,
    signature,
    hasEntry: (key, entry) => entries.has(`${key} ${entry}`),
    blobSize: (sha512) => sizes.get(sha512),
  };
}

async function readText(path: string): Promise<string> {
  try {
    return (await readSmallFile(path, DOCUMENT_SIZE_LIMIT)).toString('utf8');
  } catch (error) {
    throw new CacheError('usage', `${path}: can't be read (${shortReasonOf(error)})`, {
      cause: error,
    });
  }
}
