import type { Store } from '../../cache/store.ts';
import type { Digest } from '../../cache/digest.ts';
import { ENTRY_SIZE_LIMIT } from '../../cache/entry.ts';
import { CacheError, systemCode, type ErrorCode } from '../../cache/errors.ts';
import type { SplitStorage } from '../../storage/split-storage.ts';
import type { MediumContents } from './compose-manifest.ts';
import { entryName } from './export-plan.ts';
import type { Inspection } from './inspect-medium.ts';
import type { MediumFile } from './manifest.ts';
import { readObject } from './object-digest.ts';
import type { MediumEntry } from './open-medium.ts';
import type { SelectedEntry } from './selection.ts';
import type { WorkList } from './work-list.ts';
import { writeBlob, writeText } from './write-objects.ts';

export interface WriteMissingOptions {
  /** The exporting store. */
  readonly store: Store;
  /** Storage of the medium. */
  readonly storage: SplitStorage;
  readonly inspection: Inspection;
  readonly onProgress?: (label: string, bytes: number) => void;
}

/** Contents of a medium after an export. */
export interface ExportedContents extends MediumContents {
  /** Names of the objects that were written, or that an interrupted export had already written. */
  readonly written: readonly string[];
  /** Bytes of the newly written objects. */
  readonly bytes: number;
  /** Reasons why entries can't be exported after all. */
  readonly faults: ReadonlyMap<SelectedEntry, string>;
  /** Whether the entry or its blob was written. */
  isWritten(entry: SelectedEntry): boolean;
}

/** Writes blobs, then the entries that name them. @throws CacheError `storage`, `no-space` */
export async function writeMissing(
  missing: WorkList,
  { store, storage, inspection, onProgress = () => undefined }: WriteMissingOptions,
): Promise<ExportedContents> {
  const files = new Map<string, MediumFile>(inspection.sound);
  const entries = new Map<string, MediumEntry>(inspection.entries);
  const written: string[] = [];
  const newBlobs = new Set<Digest>();
  const badBlobs = new Map<Digest, string>();
  const faults = new Map<SelectedEntry, string>();
  let bytes = 0;
  const onWritten = (size: number): void => void (bytes += size);
  const options = { from: store.blobs, storage, onProgress, onWritten };
  try {
    for (const blob of missing.blobs) {
      try {
        const objects = await writeBlob(blob, options);
        for (const [name, file] of objects) {
          files.set(name, file);
          written.push(name);
        }
        newBlobs.add(blob.sha512);
      } catch (error) {
        if (!(error instanceof CacheError) || !OF_THE_STORE.has(error.code)) throw error;
        badBlobs.set(
          blob.sha512,
          `blob ${blob.sha512} of the store is damaged: ${error.message}; see: cache verify --deep`,
        );
      }
    }
    for (const [name, one] of missing.present) {
      const fault = badBlobs.get(one.entry.sha512);
      if (fault !== undefined) faults.set(one, fault);
      else entries.set(name, one);
    }
    for (const [name, one] of missing.entries) {
      const fault = badBlobs.get(one.entry.sha512);
      const object = await readObject(store.storage, name, ENTRY_SIZE_LIMIT + 1024);
      if (fault !== undefined || object === undefined) faults.set(one, fault ?? 'it is gone from the store');
      else {
        const file = await writeText(storage, name, object.text);
        onWritten(file.size);
        files.set(name, file);
        entries.set(name, one);
        written.push(name);
      }
    }
  } catch (error) {
    throw withAdvice(error);
  }
  return {
    ...{ files, entries, written, bytes, faults },
    isWritten: (one) => newBlobs.has(one.entry.sha512) || missing.entries.has(entryName(one)),
  };
}

/** Errors that one blob of the exporting store can cause; they don't stop the others. */
const OF_THE_STORE: ReadonlySet<ErrorCode> = new Set(['digest-mismatch', 'incomplete', 'blob-missing']);

function withAdvice(error: unknown): unknown {
  if (!(error instanceof CacheError)) return error;
  if (error.code === 'no-space')
    return new CacheError('no-space', `${error.message}; the export then goes on where it stopped`, {
      cause: error,
    });
  if (systemCode(error.cause) === 'EFBIG')
    return new CacheError('storage', `${error.message}; export again with --split 2G`, { cause: error });
  return error;
}
