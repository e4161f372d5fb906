import type { X509Certificate } from 'node:crypto';
import { access } from 'node:fs/promises';
import { join } from 'node:path';
import type { Digest } from '../../cache/digest.ts';
import { newestFirst, parseStoredEntry, type StoredEntry } from '../../cache/directory.ts';
import { ENTRY_SIZE_LIMIT } from '../../cache/entry.ts';
import { CacheError, isUndecodable, systemCode, throwUnlessOfData, UNDECODABLE } from '../../cache/errors.ts';
import type { Key } from '../../cache/key.ts';
import { BLOBS, DIRECTORY, parseEntryName, STORE_FILE } from '../../cache/layout.ts';
import type { ObjectStorage } from '../../cache/object-storage.ts';
import type { TrustedCertificates } from '../../cache/signature.ts';
import type { Store } from '../../cache/store.ts';
import { openJoined } from '../../storage/joined-object.ts';
import { createFilesystemStorage } from '../../storage/filesystem.ts';
import { systemFault } from '../../cache/system-fault.ts';
import { openStore } from '../../storage/open-store.ts';
import type { Source } from '../../cache/source.ts';
import { refusalOf, UNFINISHED_FILE, type MediumFault } from './medium-faults.ts';
import {
  filesOf,
  isOfProgram,
  MANIFEST_FILE,
  nameInStore,
  packagesOf,
  readManifest,
  STORE_FOLDER,
  type Manifest,
  type MediumFile,
  type SignedManifest,
} from './manifest.ts';
import { readObject, readOnMedium } from './object-digest.ts';
import { differencesOf, listPackages, listStoreFiles, type FolderFiles } from './medium-files.ts';
import { describeCertificate } from './signed-document.ts';
import { createArrival, didArriveWhole, highestArrived } from './arrivals.ts';

/** A medium whose manifest is verified, and whose files and entries were compared with it. */
export interface Medium {
  readonly folder: string;
  readonly manifest: Manifest;
  /** The trusted certificate that verifies the manifest. */
  readonly signer: X509Certificate;
  readonly storage: ObjectStorage;
  /** The expected size and digest of each object in its store. */
  readonly files: ReadonlyMap<string, MediumFile>;
  /** The files of `packages/` and of the program, by path; undefined if the manifest does not cover them. */
  readonly packages: ReadonlyMap<string, MediumFile> | undefined;
  /** How the files differ from the manifest; a medium opened without `partial` has no faults. */
  readonly faults: readonly MediumFault[];
  /** Whether what is undamaged is taken of a damaged medium. */
  readonly partial: boolean;
  /** The undamaged entries; their signatures are not verified yet. */
  readonly entries: readonly MediumEntry[];
  readonly blobs: ReadonlyMap<Digest, MediumBlob>;
  /** The medium as a source; a copy must hash the blobs, because their bytes are unverified. */
  readonly source: Source;
}

export interface MediumEntry {
  readonly key: Key;
  readonly entry: StoredEntry;
}

/** A blob on a medium: one object of its store, or its parts in order. */
export interface MediumBlob {
  /** Bytes. */
  readonly size: number;
  readonly objects: readonly string[];
}

/** Whether `cache export` wrote, or began to write, a medium in a folder. */
export async function isMedium(folder: string): Promise<boolean> {
  for (const name of [MANIFEST_FILE, UNFINISHED_FILE]) {
    try {
      await access(join(folder, name));
      return true;
    } catch (error) {
      const code = systemCode(error);
      // No file in it can be looked at, so a name of one would mislead.
      if (code === 'EACCES') {
        const { reason = code, advice = '' } = systemFault(code) ?? {};
        throw new CacheError('usage', `${folder}: ${reason}; ${advice}`, { cause: error });
      }
      // The later read reports why it is inaccessible.
      if (code !== 'ENOENT' && code !== 'ENOTDIR') return true;
    }
  }
  return false;
}

/** A store to import a medium into. */
export interface MediumTarget {
  /** Opens the store, once, and only for a medium that can be imported. */
  readonly store: () => Promise<Store>;
  /** Accepts a medium although a newer one of the same origin was imported. */
  readonly acceptOlder: boolean;
  /** Opens a medium that does not match its manifest, too, and lists its faults. */
  readonly partial?: boolean;
}

/**
 * Verifies a medium without reading its blobs: the manifest's signature, the names and sizes of all files, the bytes
 * of all entries. Writes nothing.
 * @param signers certificates that may sign manifests
 * @param into undefined if nothing is copied that could replace newer entries
 * @throws CacheError `untrusted`: the manifest's signer is untrusted, or a newer medium of this origin was imported;
 * `invalid-medium`: there is no manifest; `DamagedMedium`; `storage`
 */
export async function openMedium(
  folder: string,
  signers: TrustedCertificates,
  into: MediumTarget | undefined,
): Promise<Medium> {
  const signed = await readManifest(folder, signers);
  if (signed === undefined) {
    throw new CacheError(
      'invalid-medium',
      `${folder} has no ${MANIFEST_FILE}: the export did not finish; where it was made, run the same cache export again`,
    );
  }
  const { manifest } = signed;
  const partial = into?.partial ?? false;
  const checkFaults = async (found: readonly MediumFault[]): Promise<void> => {
    if (found.length > 0 && !partial) throw await refusalOf(folder, found, manifest.releases);
  };
  const listed = await faultsOf(folder, manifest);
  await checkFaults(listed);
  const root = join(folder, STORE_FOLDER);
  // The mark of a damaged store may say anything.
  const storage = partial ? createFilesystemStorage(root) : await openWhole(folder, root);
  const { entries, damages } = await readEntries(manifest, storage, new Set(listed.map(({ path }) => path)));
  await checkFaults(damages);
  // Opening can create the store, so only a good medium gets here.
  if (into !== undefined && !into.acceptOlder) await checkIsNewest(folder, signed, await into.store());
  const blobs = blobsOf(manifest);
  const faults = [...listed, ...damages];
  const source = {
    ...sourceOf(folder, storage, entries, blobs),
    arriveIn: createArrival(signed, { isWhole: faults.length === 0 }),
  };
  const [files, packages] = [filesOf(manifest), packagesOf(manifest)];
  return { folder, ...signed, storage, files, packages, faults, partial, entries, blobs, source };
}

/** @throws DamagedMedium: the store's format is unknown */
async function openWhole(folder: string, root: string): Promise<ObjectStorage> {
  try {
    return (await openStore(root, { mode: 'read' })).storage;
  } catch (error) {
    throwUnlessOfData(error);
    throw await refusalOf(folder, [{ path: `${STORE_FOLDER}/${STORE_FILE}`, what: error.message }], []);
  }
}

/** @throws CacheError `untrusted`: a newer medium of the same origin was imported into this store */
async function checkIsNewest(folder: string, signed: SignedManifest, { storage }: Store): Promise<void> {
  const { serial, created } = signed.manifest;
  const highest = await highestArrived(storage, signed);
  if (serial >= highest) return;
  const inPart = (await didArriveWhole(storage, signed, highest)) ? '' : ' in part';
  throw new CacheError(
    'untrusted',
    `${folder} is older than an imported medium: export ${serial} of ${created.slice(0, 16).replace('T', ' ')} UTC, signed by ${describeCertificate(signed.signer)}; export ${highest} was imported${inPart}; to import it anyway, add --accept-older`,
  );
}

/** Missing files, extra files and files with another size. */
async function faultsOf(folder: string, manifest: Manifest): Promise<readonly MediumFault[]> {
  const packages = packagesOf(manifest);
  return [
    ...faultsIn(`${STORE_FOLDER}/`, filesOf(manifest), await listStoreFiles(folder)),
    ...(packages === undefined ? [] : faultsIn('', packages, await listCovered(folder, manifest))),
  ];
}

/** Without the program where the manifest does not cover it, as those of earlier versions. */
async function listCovered(folder: string, { program }: Manifest): Promise<FolderFiles> {
  const { sizes, strays } = await listPackages(folder);
  const isCovered = ([path]: readonly [string, number]): boolean =>
    program !== undefined || !isOfProgram(path);
  return { sizes: new Map([...sizes].filter(isCovered)), strays };
}

/** @param prefix of the names, on the medium */
function faultsIn(
  prefix: string,
  files: ReadonlyMap<string, MediumFile>,
  { sizes, strays }: FolderFiles,
): readonly MediumFault[] {
  const extra = [...sizes.keys()].filter((name) => !files.has(name));
  return [
    ...[...differencesOf(files, sizes)].map(([name, what]) => ({ path: `${prefix}${name}`, what })),
    ...[...strays, ...extra].map((name) => ({
      path: `${prefix}${name}`,
      what: `not in the manifest${isUndecodable(name) ? `; ${UNDECODABLE}` : ''}`,
      isExtra: true,
    })),
  ];
}

/** @param skipped paths of files with a known fault */
async function readEntries(
  { files }: Manifest,
  storage: ObjectStorage,
  skipped: ReadonlySet<string>,
): Promise<{ readonly entries: readonly MediumEntry[]; readonly damages: readonly MediumFault[] }> {
  const entries: MediumEntry[] = [];
  const damages: MediumFault[] = [];
  for (const { path, sha512 } of files) {
    const name = nameInStore(path);
    if (skipped.has(path) || (!name.startsWith(DIRECTORY) && name !== STORE_FILE)) continue;
    try {
      const object = await readObject(storage, name, ENTRY_SIZE_LIMIT + 1024);
      const parsed = parseEntryName(name);
      if (object?.sha512 !== sha512) damages.push({ path, what: 'changed' });
      else if (name.startsWith(DIRECTORY) && parsed !== undefined) {
        const { key, digest } = parsed;
        entries.push({ key, entry: parseStoredEntry(object.text, key, digest, name) });
      }
    } catch (error) {
      throwUnlessOfData(error);
      damages.push({ path, what: error.message });
    }
  }
  return { entries, damages };
}

function blobsOf({ files, split }: Manifest): ReadonlyMap<Digest, MediumBlob> {
  const blobs = new Map<Digest, MediumBlob>();
  for (const { path, size, sha512 } of files) {
    const name = nameInStore(path);
    if (name.startsWith(BLOBS)) blobs.set(sha512, { size, objects: [name] });
  }
  for (const { sha512, size, parts } of split) blobs.set(sha512, { size, objects: parts.map(nameInStore) });
  return blobs;
}

function sourceOf(
  name: string,
  storage: ObjectStorage,
  entries: readonly MediumEntry[],
  blobs: ReadonlyMap<Digest, MediumBlob>,
): Source {
  const byKey = new Map<Key, StoredEntry[]>();
  for (const { key, entry } of entries) {
    const ofKey = byKey.get(key);
    if (ofKey === undefined) byKey.set(key, [entry]);
    else ofKey.push(entry);
  }
  return {
    name,
    entries: (key) => Promise.resolve((byKey.get(key) ?? []).sort(newestFirst)),
    blobSize: (digest) => Promise.resolve(blobs.get(digest)?.size),
    async *keys() {
      yield* await Promise.resolve(byKey.keys());
    },
    openBlob(digest) {
      const blob = blobs.get(digest);
      return Promise.resolve(
        blob && { size: blob.size, pieces: readBlob(blob, storage), close: () => Promise.resolve() },
      );
    },
  };
}

/**
 * The bytes of a blob, by the manifest. A piece is valid until the next is requested.
 * @throws CacheError `invalid-medium`: it can't be read, which concerns this blob only
 */
function readBlob({ objects }: MediumBlob, storage: ObjectStorage): AsyncGenerator<Uint8Array> {
  const areAllThere = (sizes: readonly number[]): boolean => sizes.length === objects.length;
  return readOnMedium(
    () => openJoined(storage, (index) => objects[index], areAllThere),
    'it is gone',
    `${STORE_FOLDER}/${objects[0] ?? ''}: `,
  );
}
