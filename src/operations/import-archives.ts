import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import type { BlobWriter } from '../cache/blobs.ts';
import type { Digest } from '../cache/digest.ts';
import { isIntact } from '../cache/directory.ts';
import { CacheError } from '../cache/errors.ts';
import type { ArchiveContents } from '../release/archive-inspection.ts';
import { parseArchiveName } from '../release/archive-name.ts';
import type { ReleaseContents, ReleaseGlimpse } from '../release/release-contents.ts';
import { createInspectionThreads, type InspectionThreads } from '../release/inspection-threads.ts';
import { fileNameOf, type ArchiveFile } from './find-archives.ts';
import { hashOnly } from './hash-only.ts';
import { createImportRecords } from './import-records.ts';
import { readFilePieces } from './read-file.ts';
import { addReleaseEntry, type SigningTarget } from './release-entry.ts';
import { identifyRelease, type ReleaseIdentity, type StatedIdentity } from './release-identity.ts';

export interface ImportOptions extends StatedIdentity {
  /** Where the releases were built and must be unpacked; see `EntryOrigin`. */
  readonly softwareRoot?: string | undefined;
  /** Where to; left out in a dry run, which writes nothing. */
  readonly target?: SigningTarget;
  /** Reads archives that were imported before, too. */
  readonly recheck?: boolean;
  /** Bytes that were read since the last call. */
  readonly onProgress?: (archive: ArchiveFile, bytes: number) => void;
  readonly now?: () => Date;
}

/** What became of one archive. */
export type ImportResult = ImportedRelease | RefusedArchive;

export interface ImportedRelease extends ReleaseIdentity {
  readonly file: string;
  /** `unchanged`: the same entry was there. `checked`: a dry run found nothing wrong. */
  readonly outcome: 'imported' | 'unchanged' | 'checked';
  readonly sha512: Digest;
  /** Bytes of the archive. */
  readonly size: number;
  /** What a person should know although nothing is wrong. */
  readonly warnings: readonly string[];
}

export interface RefusedArchive {
  readonly file: string;
  readonly outcome: 'refused';
  readonly reason: string;
}

/**
 * Brings archives into a store, each in one pass over its bytes; several are read at once, as there are cores to
 * decompress them. What is wrong with one archive doesn't stop the rest. Results come in the order of the archives,
 * and entries are added in that order: the last of a release is its newest.
 * @throws CacheError `storage`, `no-space`: the store itself failed, and what was not yielded was not imported
 */
export async function* importArchives(
  archives: readonly ArchiveFile[],
  options: ImportOptions,
): AsyncGenerator<ImportResult> {
  const ahead: Promise<CheckedArchive | ImportResult>[] = [];
  const waiting = [...archives];
  const cores = availableParallelism();
  const threads = createInspectionThreads();
  let reading = 0;

  /** As soon as one was read, the next one is, but those that wait for their turn don't become many. */
  const readAhead = (): void => {
    while (reading < cores && ahead.length < 2 * cores) {
      const archive = waiting.shift();
      if (archive === undefined) return;
      reading += 1;
      const checking = checkArchive(archive, options, threads).finally(() => {
        reading -= 1;
        readAhead();
      });
      // Its turn to be waited for comes later.
      checking.catch(() => undefined);
      ahead.push(checking);
    }
  };

  try {
    for (;;) {
      readAhead();
      const next = ahead.shift();
      if (next === undefined) return;
      const checked = await next;
      yield 'writer' in checked ? await finishImport(checked, options) : checked;
    }
  } finally {
    waiting.length = 0;
    for (const checking of await Promise.allSettled(ahead)) {
      if (checking.status === 'fulfilled' && 'writer' in checking.value) await checking.value.writer.abort();
    }
    await threads.close();
  }
}

/** An archive that was read and found good. Its bytes are written, but nothing is visible yet. */
interface CheckedArchive extends ReleaseIdentity {
  readonly fingerprint: readonly unknown[];
  readonly file: string;
  /** Its path. */
  readonly source: string;
  readonly warnings: readonly string[];
  readonly writer: BlobWriter;
}

async function checkArchive(
  archive: ArchiveFile,
  options: ImportOptions,
  threads: InspectionThreads,
): Promise<CheckedArchive | ImportResult> {
  const file = fileNameOf(archive);
  let writer: BlobWriter | undefined;
  try {
    const fingerprint = fingerprintOf(archive, file, options);
    const known = await findImported(fingerprint, archive, file, options);
    if (known !== undefined) {
      options.onProgress?.(archive, archive.size);
      return known;
    }
    writer =
      options.target === undefined
        ? hashOnly()
        : await options.target.store.blobs.create({ size: archive.size });
    const { warnings: found, ...contents } = await readOnce(archive, writer, options, threads);
    const identity = identifyRelease(contents, parseArchiveName(file), options);
    const warnings = [...found, ...contradictionOf(contents, options)];
    return { file, source: resolve(archive.path), ...identity, fingerprint, warnings, writer };
  } catch (error) {
    await writer?.abort();
    return refusalOf(file, error);
  }
}

/** Everything that decides on the outcome: when all of it is as before, the outcome is, too. */
function fingerprintOf(archive: ArchiveFile, file: string, options: ImportOptions): readonly unknown[] {
  const { url, os, multiarch, software, softwareRoot, target } = options;
  const { name, base } = parseArchiveName(file);
  return [
    ...[resolve(archive.path), archive.size, archive.modified],
    ...[url ?? null, os ?? null, multiarch ?? null, software.get(name) ?? null, software.get(base) ?? null],
    ...[softwareRoot ?? null, target?.signer.certificate ?? null],
    target?.trusted.certificates.map(({ fingerprint512 }) => fingerprint512) ?? null,
  ];
}

/** What an earlier import of the same archive put into the store, if all of it is still there. */
async function findImported(
  fingerprint: readonly unknown[],
  { size }: ArchiveFile,
  file: string,
  { target, recheck = false }: ImportOptions,
): Promise<ImportedRelease | undefined> {
  if (target === undefined || recheck) return undefined;
  const { storage, blobs, directory } = target.store;
  const record = await createImportRecords(storage).find(fingerprint);
  if (record === undefined) return undefined;
  const { entry, ...release } = record;
  const isThere =
    (await blobs.stat(release.sha512))?.size === size &&
    // A damaged entry is none: the import that finds it adds it anew.
    (await isIntact(directory.entry(release.key, entry))) &&
    (await directory.keep(release.key, { digest: entry, sha512: release.sha512 }));
  return isThere ? { file, ...release, size, outcome: 'unchanged' } : undefined;
}

/** What concerns one archive only; a store that fails concerns all. @throws CacheError the latter, naming the archive */
function refusalOf(file: string, error: unknown): RefusedArchive {
  if (!(error instanceof CacheError)) throw error;
  if (error.code === 'storage' || error.code === 'no-space')
    throw new CacheError(error.code, `${file}: ${error.message}`, { cause: error });
  return { file, outcome: 'refused', reason: error.message };
}

/** First the blob, then the entry that names it. */
async function finishImport(
  { writer, fingerprint, source, ...checked }: CheckedArchive,
  options: ImportOptions,
): Promise<ImportResult> {
  try {
    const { digest: sha512, size } = await writer.commit();
    const release = { ...checked, sha512, size };
    if (options.target === undefined) return { ...release, outcome: 'checked' };
    const origin = {
      action: 'import',
      source,
      softwareRoot: options.softwareRoot,
      now: options.now,
    } as const;
    const { entry, isNew } = await addReleaseEntry(release, options.target, origin);
    const { softwareUrl, key, platform, warnings } = release;
    const record = { softwareUrl, key, platform, sha512, entry, warnings };
    await createImportRecords(options.target.store.storage).add(fingerprint, record);
    return { ...release, outcome: isNew ? 'imported' : 'unchanged' };
  } catch (error) {
    return refusalOf(checked.file, error);
  } finally {
    await writer.abort();
  }
}

/** One pass over all of the archive's bytes: hashed, written, decompressed and walked. What is signed was read whole. */
async function readOnce(
  archive: ArchiveFile,
  writer: Pick<BlobWriter, 'write'>,
  options: ImportOptions,
  threads: InspectionThreads,
): Promise<ReleaseContents & { readonly warnings: readonly string[] }> {
  const inspector = threads.open(archive.size);
  try {
    for await (const piece of readFilePieces(archive.path)) {
      await Promise.all([inspector.write(piece), writer.write([piece])]);
      options.onProgress?.(archive, piece.byteLength);
    }
    const contents = await inspector.end();
    return { ...contents, warnings: warningsOf(contents) };
  } finally {
    inspector.abort();
  }
}

/** A person may know better than the vote of the programs, or have mistyped it. */
function contradictionOf(
  { multiarch: inside }: ReleaseGlimpse,
  { multiarch }: ImportOptions,
): readonly string[] {
  return multiarch === undefined || inside === undefined || multiarch === inside
    ? []
    : [`its programs are for ${inside}, and it was told to be for ${multiarch}`];
}

function warningsOf({ markers }: ArchiveContents): readonly string[] {
  return markers.shared
    ? ['it was built with parts outside its folder (.shared): it runs only where those parts are, too']
    : [];
}
