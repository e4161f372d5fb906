import type { Digest } from '../../cache/digest.ts';
import type { Store } from '../../cache/store.ts';
import { CacheError } from '../../cache/errors.ts';
import type { Key } from '../../cache/key.ts';
import { blobName, entriesPrefix } from '../../cache/layout.ts';
import type { Source } from '../../cache/source.ts';
import { copyBlob, transferKey, type TransferOptions } from '../transfer.ts';
import type { MendingStorage } from './mending-storage.ts';

/** The store, seen through the storage that replaces what is bad. */
export type HealTarget = Store & { readonly storage: MendingStorage };

export interface HealOptions {
  /** Whose entries are taken from a source. */
  readonly trusted: TransferOptions['trusted'];
  /** Bytes that were copied since the last call, for what is mended at `path`. */
  readonly onProgress?: ((path: string, bytes: number) => void) | undefined;
}

/** @throws CacheError: the source has no good copy, or nothing could be written */
export async function healBlob(
  sha512: Digest,
  source: Source,
  { storage, blobs }: HealTarget,
  { onProgress }: HealOptions,
): Promise<void> {
  const path = blobName(sha512);
  storage.condemn(path);
  await copyBlob({ sha512, size: undefined }, source, blobs, (_digest, bytes) => onProgress?.(path, bytes));
  await source.arriveIn?.(storage);
}

/** Also the blob that the entry names, if it isn't there. @throws CacheError as `healBlob` does */
export async function healEntry(
  key: Key,
  digest: Digest,
  source: Source,
  target: HealTarget,
  { trusted, onProgress }: HealOptions,
): Promise<void> {
  await condemnDamaged(key, target);
  const select = (entry: { readonly digest: Digest }): boolean => entry.digest === digest;
  const copying = transferKey(key, source, target, {
    trusted,
    select,
    onProgress: (_what, bytes) => onProgress?.(entriesPrefix(key) + digest, bytes),
  });
  for await (const { outcome, reason } of copying) {
    if (outcome === 'refused') throw new CacheError('untrusted', reason ?? 'it is refused');
    return;
  }
  throw new CacheError('not-found', `it has no entry ${digest} under key ${key}`);
}

/** The others of the key must not stand in the way. */
async function condemnDamaged(key: Key, { storage, directory }: HealTarget): Promise<void> {
  for (const digest of await directory.digests(key)) {
    try {
      await directory.entry(key, digest);
    } catch (error) {
      if (!(error instanceof CacheError)) throw error;
      storage.condemn(entriesPrefix(key) + digest);
    }
  }
}
