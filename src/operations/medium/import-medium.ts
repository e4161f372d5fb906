import type { Store } from '../../cache/store.ts';
import type { Digest } from '../../cache/digest.ts';
import { blobName } from '../../cache/layout.ts';
import { CacheError, throwUnlessOfData } from '../../cache/errors.ts';
import { createGivingWay } from '../../cache/give-way.ts';
import type { Key } from '../../cache/key.ts';
import type { Platform } from '../../cache/platform.ts';
import type { TrustedCertificates } from '../../cache/signature.ts';
import type { SourceEntry } from '../../cache/source.ts';
import { createStoreDestination, ensureBlob } from '../store-destination.ts';
import { transferKey, type TransferResult } from '../transfer.ts';
import { createArrival } from './arrivals.ts';
import { refusalOf, type MediumFault } from './medium-faults.ts';
import { blobFaultsOf, lostEntries, otherFaults, refuseDamaged } from './damaged-releases.ts';
import { createPackageCopy, type PackageCopy } from './copy-packages.ts';
import { isOfProgram, PACKAGES_FOLDER, STORE_FOLDER, type MediumFile } from './manifest.ts';
import { digestObject } from './object-digest.ts';
import { isMedium, type Medium, type MediumEntry } from './open-medium.ts';

export interface MediumImportOptions {
  /** Certificates whose entries are imported. */
  readonly trusted: TrustedCertificates;
  /** The target store; absent in a dry run, which reads every byte and writes nothing. */
  readonly target?: Store;
  /** The store to compare with; in a dry run, too. */
  readonly present?: Store;
  /** Folder that the files of `packages/` are copied to; without it, or in a dry run, they are only verified. */
  readonly packagesFolder?: string;
  /** Receives the total bytes to read before it begins. */
  readonly onTotal?: (bytes: number) => void;
  /** Receives the bytes of a blob, or of a file of `packages/`, read since the last call. */
  readonly onProgress?: (digest: Digest, bytes: number) => void;
}

/** Result for one entry of a medium. */
export interface MediumImportResult {
  readonly key: Key;
  readonly softwareUrl: string | undefined;
  readonly platform: Platform | undefined;
  /** undefined for a damaged entry that the manifest's list of releases does not name. */
  readonly sha512: Digest | undefined;
  /** Bytes of the blob; undefined if the medium lacks it. */
  readonly size: number | undefined;
  /**
   * `checked`: a dry run found no fault. `skipped`: its signer is untrusted, but the medium has the same build under
   * a trusted signature, as with entries that were fetched and signed anew.
   */
  readonly outcome: 'imported' | 'unchanged' | 'checked' | 'skipped' | 'refused';
  /** Reason of a refusal. */
  readonly reason?: string;
}

/** Result of importing a medium. */
export interface MediumImport {
  /** A result for each entry of the medium. */
  readonly results: readonly MediumImportResult[];
  /** Whether the medium is as its manifest says; only a partial import accepts another. */
  readonly isWhole: boolean;
  /** Names of the verified files of `packages/`; undefined if the manifest does not cover it. */
  readonly packages: readonly string[] | undefined;
  /** Faults of files that no refused entry accounts for. */
  readonly faults: readonly MediumFault[];
}

/**
 * Imports a medium into a store without writing to the medium: hashes each blob while copying it, and adds entries
 * only after all wanted files were found good; of a medium opened with `partial` it adds the entries whose files were. An
 * interrupted import resumes with the missing files.
 * @throws DamagedMedium: then no entry was added; CacheError `storage`, `no-space`
 */
export async function importMedium(medium: Medium, options: MediumImportOptions): Promise<MediumImport> {
  const { target, present = target } = options;
  const judged = await judgeAll(medium, options);
  const missing = new Map<Digest, number>();
  for (const { entry, reason } of judged) {
    const size = medium.blobs.get(entry.sha512)?.size;
    if (reason !== undefined || size === undefined) continue;
    if ((await present?.blobs.size(entry.sha512)) !== size) missing.set(entry.sha512, size);
  }
  const packages = await copyOfPackages(medium, options);
  try {
    const damage = { medium, missing, faults: await findFaults(medium, missing, packages, options) };
    const { faults } = damage;
    if (faults.length > 0 && !medium.partial)
      throw await refusalOf(medium.folder, faults, medium.manifest.releases);
    const arriveIn = createArrival(medium, { isWhole: faults.length === 0 });
    const sound = markTwins(refuseDamaged(judged, damage));
    const transferred =
      target === undefined ? undefined : await addEntries(medium, sound, target, arriveIn, options);
    const results = sound.map((one) => {
      const { outcome, reason } = transferred?.get(one.entry) ?? {};
      const isImported = outcome === 'copied' || missing.has(one.entry.sha512);
      const accepted = target === undefined ? 'checked' : isImported ? 'imported' : 'unchanged';
      return resultOf(reason === undefined ? one : { ...one, reason }, medium, accepted);
    });
    const all = [...results, ...lostEntries(damage)];
    if (target !== undefined) {
      if (faults.length > 0) await recordDamage(medium, all, target);
      // Like entries, packages count as arrived: no older medium takes them back.
      if (packages.count() > 0) await arriveIn(target.records);
      await packages.place();
    }
    return {
      results: all,
      isWhole: faults.length === 0,
      packages: medium.packages && namesOf(soundPackages(medium.packages, faults)),
      faults: otherFaults(damage, all),
    };
  } finally {
    await packages.abort();
  }
}

/** Copies the wanted blobs and packages, or only reads all in a dry run. @returns all faults of the medium */
async function findFaults(
  medium: Medium,
  missing: ReadonlyMap<Digest, number>,
  packages: PackageCopy,
  options: MediumImportOptions,
): Promise<readonly MediumFault[]> {
  const { target, onTotal } = options;
  const known = blobFaultsOf(medium.faults);
  const sizes = target === undefined ? sizesOf(medium) : missing;
  const wanted = new Map([...sizes].filter(([sha512]) => !known.has(sha512)));
  const total = sumOf(wanted.values()) + packages.bytes;
  await target?.checkRoom(total);
  onTotal?.(total);
  const inStore =
    target === undefined
      ? await checkAllBytes(medium, wanted, options)
      : await copyBlobs(medium, wanted, target, options);
  const inPackages = await packages.read();
  if (inPackages.length > 0) await checkIsThere(medium);
  return [...medium.faults, ...inStore, ...inPackages];
}

function sizesOf({ blobs }: Medium): ReadonlyMap<Digest, number> {
  return new Map([...blobs].map(([sha512, { size }]) => [sha512, size]));
}

function copyOfPackages(
  { folder, packages = new Map(), faults }: Medium,
  { target, packagesFolder, onProgress = () => undefined }: MediumImportOptions,
): Promise<PackageCopy> {
  const to = target === undefined ? undefined : packagesFolder;
  return createPackageCopy(folder, soundPackages(packages, faults), to, onProgress);
}

function soundPackages(
  packages: ReadonlyMap<string, MediumFile>,
  faults: readonly MediumFault[],
): ReadonlyMap<string, MediumFile> {
  const faulty = new Set(faults.map(({ path }) => path));
  return new Map([...packages].filter(([path]) => !faulty.has(path)));
}

/** Without those of the program. */
function namesOf(files: ReadonlyMap<string, MediumFile>): readonly string[] {
  const paths = [...files.keys()].filter((path) => !isOfProgram(path));
  return paths.map((path) => path.slice(PACKAGES_FOLDER.length + 1));
}

/**
 * All blobs are present by now; a blob that `gc` removed meanwhile, because no entry named it yet, is copied again.
 */
async function addEntries(
  medium: Medium,
  judged: readonly JudgedEntry[],
  target: Store,
  arriveIn: ReturnType<typeof createArrival>,
  { trusted }: MediumImportOptions,
): Promise<ReadonlyMap<SourceEntry, TransferResult>> {
  const wanted = new Set<SourceEntry>(
    judged.filter(({ reason }) => reason === undefined).map(({ entry }) => entry),
  );
  const destination = createStoreDestination(target, () => ({ action: 'import' }));
  const source = { ...medium.source, arriveIn };
  const results = new Map<SourceEntry, TransferResult>();
  for (const key of new Set(judged.map((one) => one.key))) {
    const select = (entry: SourceEntry): boolean => wanted.has(entry);
    for await (const result of transferKey(key, source, destination, { trusted, select }))
      results.set(result.entry, result);
  }
  return results;
}

/** An entry, and whether it can be imported. */
interface JudgedEntry extends MediumEntry {
  readonly reason?: string;
  /** Whether another entry brings the same build. */
  readonly hasTwin?: boolean;
}

function markTwins(judged: readonly JudgedEntry[]): readonly JudgedEntry[] {
  const buildOf = ({ key, entry: { sha512, platform } }: JudgedEntry): string =>
    JSON.stringify([key, sha512, platform]);
  const builds = new Set(judged.filter(({ reason }) => reason === undefined).map(buildOf));
  return judged.map((one) =>
    one.reason === undefined ? one : { ...one, hasTwin: builds.has(buildOf(one)) },
  );
}

async function judgeAll(medium: Medium, options: MediumImportOptions): Promise<readonly JudgedEntry[]> {
  const giveWay = createGivingWay();
  const judged: JudgedEntry[] = [];
  for (const entry of medium.entries) {
    await giveWay();
    judged.push(await judge(entry, medium, options));
  }
  return judged;
}

async function judge(
  one: MediumEntry,
  { blobs }: Medium,
  { trusted, target, present = target }: MediumImportOptions,
): Promise<JudgedEntry> {
  try {
    trusted.verify(one.entry);
    if (blobs.has(one.entry.sha512) || (await present?.blobs.size(one.entry.sha512)) !== undefined)
      return one;
    return {
      ...one,
      reason: `its blob ${one.entry.sha512} is neither on the medium nor in the store; export it again without --missing-from`,
    };
  } catch (error) {
    if (!(error instanceof CacheError) || error.code !== 'untrusted') throw error;
    return { ...one, reason: error.message };
  }
}

function resultOf(
  { key, entry, reason, hasTwin = false }: JudgedEntry,
  { blobs }: Medium,
  outcome: MediumImportResult['outcome'],
): MediumImportResult {
  const { softwareUrl, platform, sha512 } = entry;
  const release = { key, softwareUrl, platform, sha512, size: blobs.get(sha512)?.size };
  if (reason === undefined) return { ...release, outcome };
  return hasTwin ? { ...release, outcome: 'skipped' } : { ...release, outcome: 'refused', reason };
}

async function copyBlobs(
  medium: Medium,
  wanted: ReadonlyMap<Digest, number>,
  target: Store,
  { onProgress }: Pick<MediumImportOptions, 'onProgress'>,
): Promise<readonly MediumFault[]> {
  const damages: MediumFault[] = [];
  for (const [sha512, size] of wanted) {
    try {
      await ensureBlob({ sha512, size }, medium.source, target, (_blob, bytes) =>
        onProgress?.(sha512, bytes),
      );
    } catch (error) {
      if (!(error instanceof CacheError) || !OF_THE_MEDIUM.has(error.code)) throw error;
      await checkIsThere(medium);
      for (const damage of await damagesOf(medium, sha512, error)) damages.push(damage);
    }
  }
  return damages;
}

/** Errors that a blob on the medium can cause; all others come from the store. */
const OF_THE_MEDIUM: ReadonlySet<string> = new Set([
  'invalid-medium',
  'digest-mismatch',
  'incomplete',
  'blob-missing',
]);

/** A removed medium must not count as a damaged one. */
async function checkIsThere({ folder }: Medium): Promise<void> {
  if (await isMedium(folder)) return;
  throw new CacheError(
    'storage',
    `${folder} is gone; plug the medium in, mount it, and run the import again: it resumes`,
  );
}

/** The files of a blob that differ from the manifest. */
async function damagesOf(medium: Medium, sha512: Digest, cause: CacheError): Promise<readonly MediumFault[]> {
  const { objects = [] } = medium.blobs.get(sha512) ?? {};
  const found = await damagedFiles(medium, objects);
  // A failing disk can return other bytes on the second read.
  return found.length > 0
    ? found
    : [{ path: `${STORE_FOLDER}/${objects[0] ?? blobName(sha512)}`, what: cause.message }];
}

async function checkAllBytes(
  medium: Medium,
  wanted: ReadonlyMap<Digest, number>,
  { onProgress }: Pick<MediumImportOptions, 'onProgress'>,
): Promise<readonly MediumFault[]> {
  const damages: MediumFault[] = [];
  for (const sha512 of wanted.keys()) {
    const advance = (bytes: number): void => onProgress?.(sha512, bytes);
    const { objects = [] } = medium.blobs.get(sha512) ?? {};
    for (const damage of await damagedFiles(medium, objects, advance)) damages.push(damage);
    if (damages.length > 0) await checkIsThere(medium);
  }
  return damages;
}

async function damagedFiles(
  { files, storage }: Medium,
  objects: readonly string[],
  onProgress?: (bytes: number) => void,
): Promise<readonly MediumFault[]> {
  const damages: MediumFault[] = [];
  for (const name of objects) {
    const path = `${STORE_FOLDER}/${name}`;
    try {
      const found = await digestObject(storage, name, onProgress);
      if (found === undefined || found.sha512 !== files.get(name)?.sha512)
        damages.push({ path, what: found === undefined ? 'missing' : 'changed' });
    } catch (error) {
      throwUnlessOfData(error);
      damages.push({ path, what: error.message });
    }
  }
  return damages;
}

/** Records in the log how much of a medium came that did not arrive whole. */
async function recordDamage(
  { folder, manifest }: Medium,
  results: readonly MediumImportResult[],
  { log }: Store,
): Promise<void> {
  if (!results.some(({ outcome }) => outcome === 'imported')) return;
  const refused = results.filter(({ outcome }) => outcome === 'refused').length;
  await log.record({
    ...{ action: 'import', source: folder },
    reason: `export ${manifest.serial} is damaged: ${refused} of ${results.length} releases refused`,
  });
}

function sumOf(sizes: Iterable<number>): number {
  let sum = 0;
  for (const size of sizes) sum += size;
  return sum;
}
