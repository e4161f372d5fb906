import { join } from 'node:path';
import type { Digest } from '../../cache/digest.ts';
import { CacheError, systemCode } from '../../cache/errors.ts';
import type { Key } from '../../cache/key.ts';
import type { Platform } from '../../cache/platform.ts';
import type { Signer, TrustedCertificates } from '../../cache/signature.ts';
import { sourceOfStore, type SourceEntry } from '../../cache/source.ts';
import type { Store } from '../../cache/store.ts';
import { createFilesystemStorage } from '../../storage/filesystem.ts';
import { createSplitStorage } from '../../storage/split-storage.ts';
import { makeStore } from '../../storage/open-store.ts';
import { checkRoom } from '../../storage/free-space.ts';
import { checkIsSound } from './medium-faults.ts';
import { checkFolders, limitsOf } from '../../storage/file-system-limits.ts';
import { transferEntries, type BlobName, type Destination } from '../transfer.ts';
import {
  inspectMedium,
  listMedium,
  namesToRead,
  type Inspection,
  type MediumListing,
} from './inspect-medium.ts';
import type { Inventory } from './inventory.ts';
import { isOfProgram, STORE_FOLDER } from './manifest.ts';
import { listPackages } from './medium-files.ts';
import {
  checkDamage,
  createMediumDestination,
  entryName,
  objectsOf,
  planExport,
  type ExportPlan,
} from './medium-destination.ts';
import { lockMedium } from './medium-lock.ts';
import { beginExport, openMediumRoot, type MediumRoot } from './medium-root.ts';
import { lacksMount } from './mount-point.ts';
import { placeProgram } from './program.ts';
import { FROM_MEMORY } from './read-back.ts';
import { selectEntries, type SelectedEntry } from './selection.ts';
import { signManifest, type ManifestSeal } from './sign-manifest.ts';

export interface ExportOptions {
  /** The exporting store; it keeps the serial numbers of its exports. */
  readonly store: Store;
  /** Absent in a dry run, which writes nothing. */
  readonly signer?: Signer | undefined;
  /** Certificates whose entries are exported. */
  readonly trusted: TrustedCertificates;
  /** Certificates that may have signed the manifest already on the medium. */
  readonly mediumSigners: TrustedCertificates;
  /** Keys to export; default: all keys of the store. */
  readonly keys?: readonly Key[] | undefined;
  /** What the receiving site already has. */
  readonly inventory?: Inventory | undefined;
  /** Part size in bytes for larger blobs; default: split only blobs that the file system can't hold. */
  readonly split?: number | undefined;
  /** Whether to read back the written files. */
  readonly verify: boolean;
  /** Whether to also reread files of earlier exports. */
  readonly recheck: boolean;
  /** Whether to refuse a folder below a conventional mount folder where nothing is mounted. */
  readonly mountCheck: boolean;
  /** Executables of this program to put on the medium. */
  readonly programs?: readonly string[];
  /** Receives notes for the operator. */
  readonly onNote?: (text: string) => void;
  /** Receives the total work in bytes before it begins. */
  readonly onTotal?: (bytes: number) => void;
  /** Receives the bytes written or read since the last call. */
  readonly onProgress?: (label: string, bytes: number) => void;
}

export interface ExportResult {
  readonly entries: readonly ExportedEntry[];
  /** Bytes written; in a dry run, an estimate. */
  readonly bytes: number;
  /** Number of damaged files on the medium that were rewritten. */
  readonly rewritten: number;
  /** Number of files in `packages/` that the manifest covers. */
  readonly packages: number;
  /** undefined if nothing was written: in a dry run, or with nothing to carry. */
  readonly seal: Seal | undefined;
}

/** Identifies the medium to the receiving site. */
export interface Seal extends ManifestSeal {
  /** Path of the signer's certificate on the medium. */
  readonly certificateFile: string;
}

/** Result for one entry. */
export interface ExportedEntry {
  readonly key: Key;
  readonly softwareUrl: string | undefined;
  readonly platform: Platform | undefined;
  readonly sha512: Digest;
  /** Bytes of the blob. */
  readonly size: number | undefined;
  /**
   * `unchanged`: already on the medium. `present`: in the receiving site's inventory. `planned`: a dry run would
   * export it.
   */
  readonly outcome: 'exported' | 'unchanged' | 'present' | 'planned' | 'refused';
  /** Reason of a refusal. */
  readonly reason?: string;
}

/** Bytes reserved on a medium for the file system's own needs. */
const RESERVE = 8 * 1024 * 1024;

/**
 * Writes releases to the medium mounted at `folder` and signs a manifest of its whole store; sound files are kept. An
 * interrupted export resumes, and imports see the earlier state until it is done.
 * @throws CacheError `usage`: no such folder, or nothing is mounted there; `no-space`; `too-large`: more than the file system can hold;
 * `invalid-medium`: the medium holds something that must not be signed; `storage`: the store or the medium fails, or
 * another export writes to it
 */
export async function exportMedium(folder: string, options: ExportOptions): Promise<ExportResult> {
  const { store, signer, onNote = () => undefined } = options;
  const root = await openMediumRoot(folder);
  if (options.mountCheck && (await lacksMount(folder)))
    throw new CacheError(
      'usage',
      `nothing is mounted at ${folder}: mount the medium there, or add --no-mount-check to write to the disk that the folder is on`,
    );
  if (!root.isMountPoint)
    onNote(`note: nothing is mounted at ${folder}: this writes to the disk that it is on`);
  const selected = await selectEntries({ ...store, ...options });
  noteForeign(selected, options.mediumSigners, onNote);
  // A dry run takes no lock.
  if (signer === undefined || selected.length === 0) return exportSelected(selected, root, options);
  const free = await lockMedium(folder, onNote);
  try {
    return await exportSelected(selected, root, options);
  } finally {
    await free();
  }
}

async function exportSelected(
  selected: readonly SelectedEntry[],
  root: MediumRoot,
  options: ExportOptions,
): Promise<ExportResult> {
  const { store, signer, onNote = () => undefined } = options;
  const { folder } = root;
  const listing = await listMedium(folder, options.mediumSigners);
  checkIsSound(folder, listing.strays);
  const limits = await limitsOf(folder);
  const plan = planExport(selected, listing, limits, options.split);
  const { bytes } = plan;
  checkFolders(limits, namesAfter(listing, plan));
  if (bytes > 0) await checkRoom(folder, plan.room, RESERVE, { reason: 'for its file system' });
  // Without a release, packages may be new.
  const packages = [...listing.packages.keys()].filter((path) => !isOfProgram(path));
  const isIdle = selected.length === 0 || plan.entries.size + packages.length === 0;
  if (signer === undefined || isIdle)
    return {
      entries: plannedResults(selected, plan, listing),
      bytes,
      rewritten: 0,
      packages: 0,
      seal: undefined,
    };
  noteListing(listing, options, onNote);
  announce(listing, plan, options);

  const onProgress = labelled(selected, options);
  const inspection = await inspect(folder, listing, { ...options, onProgress });
  const work = { plan, listing, inspection };
  checkDamage(folder, work);
  await root.checkIsSame();
  const certificateFile = await beginExport(root, signer.certificate);
  const mediumStore = join(folder, STORE_FOLDER);
  await makeStore(mediumStore, { inFolder: true });
  const storage = createSplitStorage(createFilesystemStorage(mediumStore));
  const destination = createMediumDestination(storage, folder, store, work);
  const transferred = await transferSelected(selected, destination, { ...options, onProgress });
  const contents = destination.contents();
  await root.checkIsSame();
  await placeProgram(root, options.programs ?? [], (reason) => {
    onNote(`note: the medium does not carry the program itself: ${reason}`);
  });
  const { sizes: others } = await listPackages(folder);
  const sealed = await signManifest(root, contents, {
    ...options,
    ...{ signer, storage, onNote, onProgress },
    listing: { ...listing, packages: others },
  });
  const rewritten = contents.written.filter(
    (name) => inspection.faults.has(name) && listing.sizes.has(name),
  ).length;
  return {
    entries: resultsOf(selected, ({ entry }) => transferred.get(entry)),
    bytes: contents.bytes,
    rewritten,
    packages: packages.length,
    seal: { ...sealed, certificateFile },
  };
}

/** @returns the result for each carried entry */
async function transferSelected(
  selected: readonly SelectedEntry[],
  destination: Destination,
  { store, trusted, onProgress }: Pick<ExportOptions, 'store' | 'trusted' | 'onProgress'>,
): Promise<ReadonlyMap<SourceEntry, EntryOutcome>> {
  const results = new Map<SourceEntry, EntryOutcome>();
  const byKey = new Map<Key, SelectedEntry[]>();
  for (const one of selected) byKey.set(one.key, [...(byKey.get(one.key) ?? []), one]);
  const source = sourceOfStore(store);
  const options = {
    trusted,
    onProgress: ({ sha512 }: BlobName, bytes: number) => onProgress?.(sha512, bytes),
  };
  try {
    for (const [key, ofKey] of byKey) {
      const carried = new Set<SourceEntry>(
        ofKey.filter(({ carry }) => carry !== 'nothing').map(({ entry }) => entry),
      );
      const select = (entry: SourceEntry): boolean => carried.has(entry);
      const listed = ofKey.map(({ entry }) => entry);
      const transfers = transferEntries(key, listed, source, destination, { ...options, select });
      for await (const { entry, outcome, reason } of transfers)
        results.set(
          entry,
          reason === undefined
            ? { outcome: outcome === 'copied' ? 'exported' : 'unchanged' }
            : { outcome: 'refused', reason },
        );
    }
  } catch (error) {
    throw withAdvice(error);
  }
  return results;
}

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

function* namesAfter(listing: MediumListing, { missingBlobs, entries }: ExportPlan): Generator<string> {
  yield* listing.sizes.keys();
  yield* entries.keys();
  for (const blob of missingBlobs) for (const { name } of objectsOf(blob)) yield name;
}

function noteListing(
  listing: MediumListing,
  { recheck }: Pick<ExportOptions, 'recheck'>,
  onNote: (text: string) => void,
): void {
  if (listing.manifestFault !== undefined)
    onNote(
      `note: the manifest on the medium does not count, so all that is on it is read (${listing.manifestFault})`,
    );
  else if (listing.covered.size > 0 && !recheck)
    onNote('note: blobs that earlier exports wrote and verified are not read again (--recheck does)');
}

/** The receiving site must also trust the signers of builds that this site has not signed. */
function noteForeign(
  selected: readonly SelectedEntry[],
  mediumSigners: TrustedCertificates,
  onNote: (text: string) => void,
): void {
  const buildOf = ({ key, entry }: SelectedEntry): string =>
    JSON.stringify([key, entry.sha512, entry.platform]);
  const carried = selected.filter(({ carry, fault }) => carry !== 'nothing' && fault === undefined);
  const own = new Set(
    carried.filter(({ entry }) => mediumSigners.signerOf(entry) !== undefined).map(buildOf),
  );
  const foreign = new Set(carried.map(buildOf).filter((build) => !own.has(build))).size;
  if (foreign > 0)
    onNote(
      `note: ${foreign} of the builds ${foreign === 1 ? 'is' : 'are'} signed by others only; the other side must trust them, too, or sign here first: cache fetch --resign`,
    );
}

function announce(
  listing: MediumListing,
  { bytes }: ExportPlan,
  { recheck, verify, onTotal }: ExportOptions,
): void {
  const toRead = namesToRead(listing, recheck).reduce((sum, name) => sum + (listing.sizes.get(name) ?? 0), 0);
  const packages = [...listing.packages.values()].reduce((sum, size) => sum + size, 0);
  onTotal?.(toRead + (bytes + packages) * (verify ? 2 : 1));
}

/** Operators know releases by URL; object names contain only digests. */
function labelled(
  selected: readonly SelectedEntry[],
  { onProgress = () => undefined }: ExportOptions,
): (name: string, bytes: number) => void {
  const urls = new Map(selected.map(({ key, entry }) => [entry.sha512.toString(), entry.softwareUrl ?? key]));
  return (name, bytes) => {
    const [digest = name] = /[0-9a-f]{128}/.exec(name) ?? [];
    onProgress(urls.get(digest) ?? name, bytes);
  };
}

async function inspect(folder: string, listing: MediumListing, options: ExportOptions): Promise<Inspection> {
  const { trusted, recheck, onProgress = () => undefined, onNote } = options;
  if (listing.sizes.size === 0)
    return { sound: new Map(), entries: new Map(), faults: listing.differing, fromMemory: false };
  const storage = createFilesystemStorage(join(folder, STORE_FOLDER));
  const inspection = await inspectMedium(listing, { folder, storage, trusted, recheck, onProgress });
  if (inspection.fromMemory) onNote?.(FROM_MEMORY);
  return inspection;
}

/** Results of a dry run, judged by names and sizes. */
function plannedResults(
  selected: readonly SelectedEntry[],
  { missingBlobs }: ExportPlan,
  { sizes }: MediumListing,
): readonly ExportedEntry[] {
  const missing = new Set(missingBlobs.map(({ sha512 }) => sha512));
  const isThere = (one: SelectedEntry): boolean =>
    sizes.has(entryName(one)) && !missing.has(one.entry.sha512);
  return resultsOf(selected, (one) => ({ outcome: isThere(one) ? 'unchanged' : 'planned' }));
}

type EntryOutcome = Pick<ExportedEntry, 'outcome' | 'reason'>;

/** @param outcomeOf outcome of a carried entry */
function resultsOf(
  selected: readonly SelectedEntry[],
  outcomeOf: (one: SelectedEntry) => EntryOutcome | undefined,
): readonly ExportedEntry[] {
  return selected.map((one) => {
    const { key, entry, size, fault: reason } = one;
    const { softwareUrl, platform, sha512 } = entry;
    const release = { key, softwareUrl, platform, sha512, size };
    if (reason !== undefined) return { ...release, outcome: 'refused', reason };
    const carried = one.carry === 'nothing' ? undefined : outcomeOf(one);
    return { ...release, outcome: 'present', ...carried };
  });
}
