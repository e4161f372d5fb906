import type { Store } from '../../cache/store.ts';
import type { Digest } from '../../cache/digest.ts';
import { noneIfDamaged, type Directory } from '../../cache/directory.ts';
import type { VerifiedEntry } from '../../cache/entry.ts';
import { CacheError } from '../../cache/errors.ts';
import { createGivingWay } from '../../cache/give-way.ts';
import type { Key } from '../../cache/key.ts';
import type { ObjectStorage } from '../../cache/object-storage.ts';
import type { Platform } from '../../cache/platform.ts';
import type { TrustedCertificates } from '../../cache/signature.ts';
import { createPlacement, type Placement } from '../placement.ts';
import { addInPlace, copyBlob } from '../transfer.ts';
import { refusalOf, type Damage } from './damage.ts';
import { STORE_FOLDER } from './manifest.ts';
import { digestObject } from './object-digest.ts';
import { isMedium, type Medium, type MediumEntry } from './open-medium.ts';
import { describeCertificate } from './signed-document.ts';
import { highestArrived } from './trips.ts';

export interface MediumImportOptions {
  /** Whose entries count. */
  readonly trusted: TrustedCertificates;
  /** Where to; left out in a dry run, which reads every byte and writes nothing. */
  readonly target?: Store;
  /** What is there already; of a dry run, too. */
  readonly present?: Store;
  /** Takes a medium although a newer one came before. */
  readonly acceptOlder?: boolean;
  /** Told before anything is read how many bytes will be. */
  readonly onTotal?: (bytes: number) => void;
  /** Bytes of a blob that were read since the last call. */
  readonly onProgress?: (digest: Digest, bytes: number) => void;
}

/** What became of one entry of a medium. */
export interface MediumImportResult {
  readonly key: Key;
  readonly softwareUrl: string | undefined;
  readonly platform: Platform | undefined;
  readonly sha512: Digest;
  /** Bytes of the blob; undefined when it isn't on the medium. */
  readonly size: number | undefined;
  /**
   * `checked`: a dry run found nothing wrong. `skipped`: nobody here trusts who signed it, but the medium has the same build
   * under a signature that counts, too; so it is with what was fetched and signed anew.
   */
  readonly outcome: 'imported' | 'unchanged' | 'checked' | 'skipped' | 'refused';
  /** Why it was refused. */
  readonly reason?: string;
}

/**
 * Brings what is on a medium into a store. The blobs come first, each hashed while it is copied; no entry is added before
 * all that is wanted of the medium was found good. When it's broken off, the next time only copies what is missing.
 * The medium is never written to.
 * @returns a result for each entry of the medium
 * @throws CacheError `untrusted`: an older medium than one that came before; `invalid-medium` with the list of what is
 * damaged: then no entry was added; `storage`, `no-space`
 */
export async function importMedium(
  medium: Medium,
  options: MediumImportOptions,
): Promise<readonly MediumImportResult[]> {
  const { target, present = target } = options;
  if (present !== undefined && !options.acceptOlder) await checkIsNewest(medium, present.storage);
  const judged = markTwins(await judgeAll(medium, options));
  const missing = new Map<Digest, number>();
  for (const { entry, reason } of judged) {
    const size = medium.blobs.get(entry.sha512)?.size;
    if (reason !== undefined || size === undefined) continue;
    if ((await present?.blobs.stat(entry.sha512))?.size !== size) missing.set(entry.sha512, size);
  }
  if (target === undefined) {
    await checkAllBytes(medium, options);
    return judged.map((one) => resultOf(one, medium, 'checked'));
  }
  await copyBlobs(medium, missing, target, options);
  const results: MediumImportResult[] = [];
  // The oldest first: when this is broken off, nodes are left with an older release rather than a gap.
  const order = [...judged].sort((a, b) => a.entry.received.getTime() - b.entry.received.getTime());
  const placements = new Map<Key, Placement>();
  for (const judgement of order) {
    const one = await keepBlob(judgement, medium, target, options);
    const placement = placements.get(one.key) ?? (await placementIn(target.directory, one.key, options));
    placements.set(one.key, placement);
    const isNew =
      one.verified !== undefined && (await addEntry(one, one.verified, medium, target, placement));
    const outcome = isNew || missing.has(one.entry.sha512) ? 'imported' : 'unchanged';
    results.push(resultOf(one, medium, outcome));
  }
  return results;
}

async function placementIn(
  directory: Directory,
  key: Key,
  { trusted }: MediumImportOptions,
): Promise<Placement> {
  return createPlacement(await directory.entries(key).catch(noneIfDamaged), trusted);
}

/** @throws CacheError `untrusted`: a newer one of the same origin was imported into this store */
export async function checkIsNewest(medium: Medium, storage: ObjectStorage): Promise<void> {
  const { serial, created } = medium.manifest;
  const highest = await highestArrived(storage, medium);
  if (serial >= highest) return;
  throw new CacheError(
    'untrusted',
    `${medium.folder} is older than a medium that came before: it is export ${serial} (${created}) of ${describeCertificate(medium.signer)}, and export ${highest} was imported already; if it is to be taken all the same: --accept-older`,
  );
}

/** An entry, and whether it can be imported. */
interface JudgedEntry extends MediumEntry {
  readonly verified?: VerifiedEntry;
  readonly reason?: string;
  /** Whether the same build can be imported by another entry. */
  readonly hasTwin?: boolean;
}

function markTwins(judged: readonly JudgedEntry[]): readonly JudgedEntry[] {
  const buildOf = ({ key, entry: { sha512, platform } }: JudgedEntry): string =>
    JSON.stringify([key, sha512, platform]);
  const builds = new Set(judged.filter(({ verified }) => verified !== undefined).map(buildOf));
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
    const verified = trusted.verify(one.entry);
    if (blobs.has(one.entry.sha512) || (await present?.blobs.stat(one.entry.sha512)) !== undefined)
      return { ...one, verified };
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

/**
 * Copying takes long, and `gc` may have removed a blob meanwhile that was there and that no entry named. From here on it
 * has time to see the entry.
 */
async function keepBlob(
  one: JudgedEntry,
  medium: Medium,
  target: Store,
  { onProgress }: Pick<MediumImportOptions, 'onProgress'>,
): Promise<JudgedEntry> {
  const { key, entry, verified } = one;
  const { sha512 } = entry;
  if (verified === undefined || (await target.blobs.stat(sha512)) !== undefined) return one;
  const size = medium.blobs.get(sha512)?.size;
  if (size === undefined)
    return { key, entry, reason: `its blob ${sha512} was removed from the store meanwhile` };
  await copyBlobs(medium, new Map([[sha512, size]]), target, onProgress === undefined ? {} : { onProgress });
  return one;
}

async function addEntry(
  { key, entry }: MediumEntry,
  verified: VerifiedEntry,
  { folder, blobs, source }: Medium,
  { storage, directory, log }: Store,
  placement: Placement,
): Promise<boolean> {
  // What brings nothing is no trip, nor a reason to make a store.
  await source.arriveIn?.(storage);
  const isNew = await addInPlace(key, verified, entry.received, directory, placement);
  if (isNew) {
    const { digest, sha512, softwareUrl } = entry;
    const size = blobs.get(sha512)?.size;
    await log.record({ action: 'import', key, entry: digest, sha512, softwareUrl, size, source: folder });
  }
  return isNew;
}

async function copyBlobs(
  medium: Medium,
  missing: ReadonlyMap<Digest, number>,
  target: Store,
  { onTotal, onProgress }: Pick<MediumImportOptions, 'onTotal' | 'onProgress'>,
): Promise<void> {
  const total = sumOf(missing.values());
  await target.checkRoom(total);
  onTotal?.(total);
  const damages: Damage[] = [];
  for (const [sha512, size] of missing) {
    try {
      await copyBlob({ sha512, size }, medium.source, target.blobs, onProgress);
    } catch (error) {
      if (!(error instanceof CacheError) || !OF_THE_MEDIUM.has(error.code)) throw error;
      await checkIsThere(medium);
      for (const damage of await damagesOf(medium, sha512, error)) damages.push(damage);
    }
  }
  if (damages.length > 0) throw await refusalOf(medium.folder, damages);
}

/** What a blob on the medium can do wrong; any other fault is one of the store. */
const OF_THE_MEDIUM: ReadonlySet<string> = new Set([
  'invalid-medium',
  'digest-mismatch',
  'incomplete',
  'blob-missing',
]);

/** A medium that is pulled out is not a damaged one. */
async function checkIsThere({ folder }: Medium): Promise<void> {
  if (await isMedium(folder)) return;
  throw new CacheError(
    'storage',
    `${folder} is gone; plug the medium in, mount it, and run the import again: it goes on where it stopped`,
  );
}

/** Which files of a blob are not as the manifest says. */
async function damagesOf(medium: Medium, sha512: Digest, cause: CacheError): Promise<readonly Damage[]> {
  const found = await damagedFiles(medium, medium.blobs.get(sha512)?.objects ?? []);
  // Bytes that are read again can be other ones on a failing disk.
  return found.length > 0 ? found : [{ path: `blob ${sha512}`, what: cause.message }];
}

async function checkAllBytes(medium: Medium, { onTotal, onProgress }: MediumImportOptions): Promise<void> {
  onTotal?.(sumOf([...medium.blobs.values()].map(({ size }) => size)));
  const damages: Damage[] = [];
  for (const [sha512, { objects }] of medium.blobs) {
    const advance = (bytes: number): void => onProgress?.(sha512, bytes);
    for (const damage of await damagedFiles(medium, objects, advance)) damages.push(damage);
    if (damages.length > 0) await checkIsThere(medium);
  }
  if (damages.length > 0) throw await refusalOf(medium.folder, damages);
}

async function damagedFiles(
  { files, storage }: Medium,
  objects: readonly string[],
  onProgress?: (bytes: number) => void,
): Promise<readonly Damage[]> {
  const damages: Damage[] = [];
  for (const name of objects) {
    const path = `${STORE_FOLDER}/${name}`;
    try {
      const found = await digestObject(storage, name, onProgress);
      if (found === undefined || found.sha512 !== files.get(name)?.sha512)
        damages.push({ path, what: found === undefined ? 'missing' : 'its bytes were changed' });
    } catch (error) {
      if (!(error instanceof CacheError)) throw error;
      damages.push({ path, what: error.message });
    }
  }
  return damages;
}

function sumOf(sizes: Iterable<number>): number {
  let sum = 0;
  for (const size of sizes) sum += size;
  return sum;
}
