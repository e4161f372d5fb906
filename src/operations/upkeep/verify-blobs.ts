import type { Store } from '../../cache/store.ts';
import { isDigest, prefixOf, type Digest } from '../../cache/digest.ts';
import { BLOBS, blobName } from '../../cache/layout.ts';
import type { OpenObject } from '../../cache/object-storage.ts';
import { diskFinding, strayAt, type Finding } from './finding.ts';
import { hashBlob } from './hash-blob.ts';
import type { Pace } from './pace.ts';
import type { VerifyOptions, VerifyState } from './verification.ts';

const FOLDER = BLOBS.slice(0, -1);

/** Verifies every blob, and finds strays among the blobs. */
export async function* verifyBlobs(
  store: Store,
  options: VerifyOptions,
  state: VerifyState,
): AsyncGenerator<Finding> {
  if (options.deep) options.onMore?.(state.bytesToRead);
  try {
    for await (const { name, type } of store.upkeep.list(FOLDER)) {
      if (!isDigest(name)) yield strayAt(BLOBS + name, 'its name is not a sha512');
      else if (type !== 'file')
        yield { kind: 'blob-damaged', path: BLOBS + name, sha512: name, problem: 'it is not a file' };
      else {
        const finding = await verifyListed(name, store, options, state);
        if (finding !== undefined) yield finding;
      }
    }
  } catch (error) {
    yield diskFinding(error, { path: FOLDER });
  }
}

async function verifyListed(
  digest: Digest,
  { blobs }: Store,
  { deep, since = -Infinity, pace, onMore, onProgress }: VerifyOptions,
  { counts, referenced, names, badBlobs }: VerifyState,
): Promise<Finding | undefined> {
  const path = blobName(digest);
  const name = names.get(prefixOf(digest));
  try {
    if (badBlobs.has(digest)) return undefined;
    const stat = await blobs.stat(digest);
    // The blob was removed meanwhile.
    if (stat === undefined) return undefined;
    counts.blobs++;
    counts.bytes += stat.size;
    const isNamed = referenced.has(prefixOf(digest));
    if (!isNamed) {
      counts.unreferencedBlobs++;
      counts.unreferencedBytes += stat.size;
    }
    if (!deep || stat.modified < since) return undefined;
    if (!isNamed) onMore?.(stat.size);
    const object = await blobs.open(digest);
    if (object === undefined) return undefined;
    const label = name?.softwareUrl ?? name?.key ?? path;
    const finding = await verifyBytes(digest, object, pace, (bytes) => onProgress?.(label, bytes));
    return finding && { ...finding, ...name };
  } catch (error) {
    return diskFinding(error, { path, sha512: digest, ...name });
  }
}

/** Whether the bytes match the digest; closes the object. @throws CacheError `storage` */
export async function verifyBytes(
  digest: Digest,
  object: OpenObject,
  pace: Pace,
  onProgress: (bytes: number) => void = () => undefined,
): Promise<(Finding & { readonly kind: 'blob-damaged' }) | undefined> {
  try {
    const actual = await hashBlob(object, pace, onProgress);
    if (actual === digest) return undefined;
    return {
      kind: 'blob-damaged',
      path: blobName(digest),
      sha512: digest,
      problem: `its ${object.size} bytes have the sha512 ${actual}`,
    };
  } finally {
    await object.close();
  }
}
