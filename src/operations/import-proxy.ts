import { join } from 'node:path';
import type { Digest } from '../cache/digest.ts';
import { CacheError } from '../cache/errors.ts';
import type { Key } from '../cache/key.ts';
import { blobName } from '../cache/layout.ts';
import type { Platform } from '../cache/platform.ts';
import type { Store } from '../cache/store.ts';
import { openProxyFolders, type ProxyFault, type ProxyFolders, type ProxyPaths } from './proxy-folders.ts';
import { createStoreDestination, ensureBlob } from './store-destination.ts';
import {
  missingBlob,
  reasonOf,
  transferEntries,
  type BlobName,
  type TransferOptions,
  type TransferResult,
} from './transfer.ts';
import { hashOf } from './upkeep/check-release.ts';

/** Result for an entry, for a blob that no entry names, or for a file that is neither. */
export interface ProxyImportResult {
  /** The path in one of the two folders. */
  readonly file: string;
  /** Of an entry. */
  readonly key?: Key;
  readonly softwareUrl?: string | undefined;
  readonly platform?: Platform | undefined;
  readonly sha512?: Digest;
  /** Bytes of the blob, if it is there. */
  readonly size?: number | undefined;
  /** `checked`: a dry run found no fault. */
  readonly outcome: 'imported' | 'unchanged' | 'checked' | 'refused';
  /** Reason of a refusal. */
  readonly reason?: string;
}

export type ProxyImportOptions = Pick<TransferOptions, 'trusted' | 'dryRun' | 'onProgress'>;

/**
 * Takes over what the shacache of `slapos proxy` has: entries that a trusted certificate verifies, with their blobs; then the blobs
 * that no entry names, because clients ask for them by their sha512. An interrupted import resumes with the missing files.
 * @throws CacheError `usage`; `storage`, `no-space`: the store failed; yielded results are final
 */
export async function* importProxy(
  paths: ProxyPaths,
  store: Store,
  options: ProxyImportOptions,
): AsyncGenerator<ProxyImportResult> {
  const faults: ProxyFault[] = [];
  const folders = await openProxyFolders(paths, (fault) => faults.push(fault));
  const destination = createStoreDestination(store, () => ({ action: 'import' }));
  const named = new Set<Digest>();
  for await (const key of folders.keys()) {
    const file = join(paths.metadata, key);
    const listed = await folders.entries(key);
    for (const { sha512 } of listed) named.add(sha512);
    for await (const result of transferEntries(key, listed, folders, destination, options)) {
      const { entry, outcome, reason } = await checkBytes(result, folders, options);
      const { softwareUrl, platform, sha512 } = entry;
      yield {
        ...{ file, key, softwareUrl, platform, sha512, size: await store.blobs.size(sha512) },
        outcome: OUTCOMES[outcome],
        ...(reason !== undefined && { reason }),
      };
    }
    yield* refusalsOf(faults);
  }
  for await (const sha512 of folders.blobs())
    if (!named.has(sha512))
      yield {
        file: join(paths.content, sha512),
        sha512,
        ...(await importBlob(sha512, folders, store, options)),
      };
  yield* refusalsOf(faults);
}

const OUTCOMES: Readonly<Record<TransferResult['outcome'], ProxyImportResult['outcome']>> = {
  copied: 'imported',
  'to-copy': 'checked',
  unchanged: 'unchanged',
  // A store leaves no entry out.
  'left-out': 'unchanged',
  refused: 'refused',
};

/** Empties `faults`. */
function* refusalsOf(faults: ProxyFault[]): Generator<ProxyImportResult> {
  for (const fault of faults.splice(0)) yield { ...fault, outcome: 'refused' };
}

/** A dry run reads what an import would copy. */
async function checkBytes(
  result: TransferResult,
  folders: ProxyFolders,
  { onProgress }: ProxyImportOptions,
): Promise<TransferResult> {
  if (result.outcome !== 'to-copy') return result;
  try {
    await checkBlob(result.entry, folders, onProgress);
    return result;
  } catch (error) {
    return { ...result, outcome: 'refused', reason: reasonOf(error) };
  }
}

/** @throws CacheError `digest-mismatch`, `blob-missing`, `damaged` */
async function checkBlob(
  blob: BlobName,
  folders: ProxyFolders,
  onProgress: ProxyImportOptions['onProgress'],
): Promise<void> {
  const { sha512, size } = blob;
  const actual = await hashOf(sha512, folders, (bytes) => onProgress?.(blob, bytes, size));
  if (actual === undefined) throw missingBlob(blob, folders);
  if (actual !== sha512)
    throw new CacheError('digest-mismatch', `the bytes have the sha512 ${actual}, not ${sha512}`);
}

async function importBlob(
  sha512: Digest,
  folders: ProxyFolders,
  store: Store,
  { dryRun = false, onProgress }: ProxyImportOptions,
): Promise<Pick<ProxyImportResult, 'outcome' | 'size' | 'reason'>> {
  try {
    const size = await folders.blobSize(sha512);
    const blob = { sha512, size };
    if (dryRun) {
      if ((await store.blobs.size(sha512)) === size) return { outcome: 'unchanged', size };
      await checkBlob(blob, folders, onProgress);
      return { outcome: 'checked', size };
    }
    if (await ensureBlob(blob, folders, store, onProgress)) {
      await store.storage.ensureDurable(blobName(sha512));
      return { outcome: 'unchanged', size };
    }
    await store.log.record({ action: 'import', sha512, size, source: folders.name });
    return { outcome: 'imported', size };
  } catch (error) {
    return { outcome: 'refused', reason: reasonOf(error) };
  }
}
