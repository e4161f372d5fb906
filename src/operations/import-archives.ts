import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import type { BlobWriter } from '../cache/blobs.ts';
import type { Digest } from '../cache/digest.ts';
import { isIntact } from '../cache/directory.ts';
import { CacheError, isStoreFault } from '../cache/errors.ts';
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
  /** The folder where the releases were built and must be unpacked; see `EntryOrigin`. */
  readonly softwareRoot?: string | undefined;
  /** The target; absent in a dry run, which writes nothing. */
  readonly target?: SigningTarget;
  /** Also rereads archives that were imported before. */
  readonly recheck?: boolean;
  /** Receives the bytes read since the last call. */
  readonly onProgress?: (archive: ArchiveFile, bytes: number) => void;
  readonly now?: () => Date;
}

/** Result for one archive. */
export type ImportResult = ImportedRelease | RefusedArchive;

export interface ImportedRelease extends ReleaseIdentity {
  readonly file: string;
  /** `unchanged`: the same entry exists. `checked`: a dry run found no fault. */
  readonly outcome: 'imported' | 'unchanged' | 'checked';
  readonly sha512: Digest;
  /** Bytes of the archive. */
  readonly size: number;
  /** Notes for the operator; the archive itself has no fault. */
  readonly warnings: readonly string[];
}

export interface RefusedArchive {
  readonly file: string;
  readonly outcome: 'refused';
  readonly reason: string;
}

/**
 * Imports archives into a store, each in one pass and as many at once as there are cores; a fault of one doesn't stop
 * the rest. Results and entries follow the order of the archives: the last one of a release is its newest.
 * @throws CacheError `storage`, `no-space`: the store itself failed; archives without a result were not imported
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

  /** Starts the next read as soon as one ends, but limits the number of waiting results. */
  const readAhead = (): void => {
    while (reading < cores && ahead.length < 2 * cores) {
      const archive = waiting.shift();
      if (archive === undefined) return;
      reading += 1;
      const checking = checkArchive(archive, options, threads).finally(() => {
        reading -= 1;
        readAhead();
      });
      // The error is reported when its turn comes.
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

/** An archive that was read and found good; its bytes are written, but not yet visible. */
interface CheckedArchive extends ReleaseIdentity {
  readonly fingerprint: readonly unknown[];
  readonly file: string;
  /** Path of the archive. */
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

/** Everything that decides the outcome: the same fingerprint means the same outcome. */
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

/** Result of an earlier import of the same archive, if the store still has all of it. */
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
    (await blobs.size(release.sha512)) === size &&
    // A damaged entry doesn't count: the import adds it anew.
    (await isIntact(directory.entry(release.key, entry))) &&
    (await directory.keep(release.key, { digest: entry, sha512: release.sha512 }));
  return isThere ? { file, ...release, size, outcome: 'unchanged' } : undefined;
}

/** The refusal of one archive. @throws CacheError naming the archive if the store itself fails */
function refusalOf(file: string, error: unknown): RefusedArchive {
  if (!(error instanceof CacheError)) throw error;
  if (isStoreFault(error)) throw new CacheError(error.code, `${file}: ${error.message}`, { cause: error });
  return { file, outcome: 'refused', reason: error.message };
}

/** Writes the blob first, then the entry that names it. */
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

/**
 * Hashes, writes, decompresses and inspects the archive in one pass over all its bytes, so that only fully read bytes
 * are signed.
 */
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

/** The stated multiarch may be better than the programs' majority, or mistyped. */
function contradictionOf(
  { multiarch: inside }: ReleaseGlimpse,
  { multiarch }: ImportOptions,
): readonly string[] {
  return multiarch === undefined || inside === undefined || multiarch === inside
    ? []
    : [`its programs are for ${inside}, but --multiarch is ${multiarch}`];
}

function warningsOf({ markers }: ArchiveContents): readonly string[] {
  return markers.shared
    ? [
        'it was built with parts outside its folder (.shared): it runs only on nodes that also have those parts',
      ]
    : [];
}
