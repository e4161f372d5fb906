import type { Digest } from '../../cache/digest.ts';
import type { Store } from '../../cache/store.ts';
import { CacheError } from '../../cache/errors.ts';
import type { Key } from '../../cache/key.ts';
import { BLOBS, blobName, entriesPrefix } from '../../cache/layout.ts';
import type { Source } from '../../cache/source.ts';
import { createStoreDestination, ensureBlob } from '../store-destination.ts';
import { transferKey, type Destination, type TransferOptions } from '../transfer.ts';
import type { Finding } from './finding.ts';
import type { HealingStorage } from './healing-storage.ts';

/** The store, on a storage that replaces bad objects. */
type HealTarget = Store & { readonly storage: HealingStorage };

export interface HealOptions {
  /** Certificates whose entries are accepted from a source. */
  readonly trusted: TransferOptions['trusted'];
  /** Receives the bytes copied since the last call, for the object at `path`. */
  readonly onProgress?: ((path: string, bytes: number) => void) | undefined;
}

/**
 * Replaces a bad object with a good copy from a source, and records it.
 * @param quarantined path in quarantine of a replaced object
 * @throws CacheError: the source has no good copy, or writing failed
 */
export async function healFrom(
  source: Source,
  finding: Finding,
  store: HealTarget,
  quarantined: ReadonlyMap<string, string>,
  options: HealOptions,
): Promise<void> {
  const { path, problem, key, entry, sha512, softwareUrl } = finding;
  const eventOf = () => ({
    ...{ action: 'heal' as const, reason: `${path}: ${problem}`, target: quarantined.get(path) },
  });
  if (!path.startsWith(BLOBS)) {
    if (key !== undefined && entry !== undefined)
      await healEntry(key, entry, source, createStoreDestination(store, eventOf), store, options);
  } else if (sha512 !== undefined) {
    await healBlob(sha512, source, store, options);
    await store.log.record({ ...{ key, entry, sha512, softwareUrl, source: source.name }, ...eventOf() });
  }
}

async function healBlob(
  sha512: Digest,
  source: Source,
  store: HealTarget,
  { onProgress }: HealOptions,
): Promise<void> {
  const path = blobName(sha512);
  store.storage.condemn(path);
  await ensureBlob({ sha512, size: undefined }, source, store, (_blob, bytes) => onProgress?.(path, bytes));
  await source.arriveIn?.(store.records);
}

/** Also heals the entry's blob if it is missing. */
async function healEntry(
  key: Key,
  digest: Digest,
  source: Source,
  destination: Destination,
  store: HealTarget,
  { trusted, onProgress }: HealOptions,
): Promise<void> {
  await condemnDamaged(key, store);
  const copying = transferKey(key, source, destination, {
    trusted,
    select: (entry) => entry.digest === digest,
    onProgress: (_what, bytes) => onProgress?.(entriesPrefix(key) + digest, bytes),
  });
  for await (const { outcome, reason } of copying) {
    if (outcome === 'refused') throw new CacheError('untrusted', reason ?? 'it is refused');
    return;
  }
  throw new CacheError('not-found', `it has no entry ${digest} under key ${key}`);
}

/** Other damaged entries of the key must not block the copy. */
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
