import type { Store } from '../../cache/store.ts';
import { X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { CacheError } from '../../cache/errors.ts';
import { STORE_FILE } from '../../cache/layout.ts';
import type { ObjectStorage } from '../../cache/object-storage.ts';
import type { Signer, TrustedCertificates } from '../../cache/signature.ts';
import { describeContents, type MediumContents } from './compose-manifest.ts';
import { checkIsSound, formatDamages, type MediumFault } from './medium-faults.ts';
import {
  formatManifest,
  MANIFEST_FILE,
  packagesOf,
  readManifest,
  STORE_FOLDER,
  type MediumFile,
} from './manifest.ts';
import { endExport, writeManifest, type MediumRoot } from './medium-root.ts';
import { digestObject } from './object-digest.ts';
import { dropFromPageCache } from './page-cache.ts';
import { FROM_MEMORY, readBack } from './read-back.ts';
import { signatureOf } from './signed-document.ts';
import type { MediumListing } from './inspect-medium.ts';
import { digestPackages, noteOfChanges, packagesOn, writeChecksums } from './packages.ts';
import { listPackages, listStoreFiles, type FolderFiles } from './medium-files.ts';
import { originOf, takeSerial } from './export-serial.ts';

export interface SignManifestOptions {
  /** The exporting store, which keeps the serial number. */
  readonly store: Store;
  /** Storage of the medium. */
  readonly storage: ObjectStorage;
  readonly listing: Pick<MediumListing, 'manifest' | 'covered' | 'packages'>;
  readonly signer: Signer;
  readonly mediumSigners: TrustedCertificates;
  readonly verify: boolean;
  readonly onNote?: (text: string) => void;
  readonly onProgress?: (label: string, bytes: number) => void;
}

export interface ManifestSeal {
  /** Serial number of the export, per store. */
  readonly serial: number;
  readonly signer: X509Certificate;
  /** A note about files of `packages/` that differ from the former manifest. */
  readonly packagesNote: string | undefined;
}

/**
 * Reads back the written files, then signs and writes the manifest of the whole store on the medium.
 * @throws CacheError `storage`: the medium fails; `invalid-medium`: another file was added meanwhile
 */
export async function signManifest(
  root: MediumRoot,
  { files, entries, written }: MediumContents & { readonly written: readonly string[] },
  options: SignManifestOptions,
): Promise<ManifestSeal> {
  const { folder } = root;
  const { store, storage, listing, signer, verify, onProgress = () => undefined } = options;
  const all = new Map(files);
  const isStoreNew = !all.has(STORE_FILE);
  if (isStoreNew) all.set(STORE_FILE, await readNew(storage, STORE_FILE));
  if (verify) await verifyWritten(folder, [...written, ...(isStoreNew ? [STORE_FILE] : [])], all, options);
  // Files of an interrupted export may never have been synced; files in a manifest were.
  for (const name of all.keys()) if (!listing.covered.has(name)) await storage.ensureDurable(name);
  const packages = await digestPackages(folder, listing.packages.keys(), onProgress);
  if (verify) await verifyPackages(folder, packages, options);
  await checkNothingCame(folder, all, packages);

  const origin = await originOf(store.records);
  const former = listing.manifest?.manifest;
  const serial = await takeSerial(store.records, former?.origin === origin ? former.serial : 0);
  const text = formatManifest({
    ...{ origin, serial, created: new Date().toISOString(), by: signatureOf(signer) },
    ...describeContents({ files: all, entries }, packages),
  });
  await writeChecksums(root, packages, signer);
  await writeManifest(root, signer.signDocument(text));
  if (verify) await verifyManifest(folder, serial, options);
  await endExport(root);
  const packagesNote = noteOfChanges(packages, (former && packagesOf(former)) ?? packages);
  return { serial, signer: new X509Certificate(signer.certificate), packagesNote };
}

async function readNew(storage: ObjectStorage, name: string): Promise<MediumFile> {
  const found = await digestObject(storage, name);
  if (found === undefined) throw new CacheError('storage', `${name} of the medium's store is gone`);
  return found;
}

async function verifyWritten(
  folder: string,
  names: readonly string[],
  files: ReadonlyMap<string, MediumFile>,
  { storage, onNote, onProgress = () => undefined }: SignManifestOptions,
): Promise<void> {
  const damages: MediumFault[] = [];
  let fromDisk = true;
  for await (const read of readBack(join(folder, STORE_FOLDER), storage, names, onProgress)) {
    if (!read.fromDisk) fromDisk = false;
    if (read.fault === undefined && read.found?.sha512 === files.get(read.name)?.sha512) continue;
    const what = read.fault ?? 'what is read back is not what was written';
    damages.push({ path: `${STORE_FOLDER}/${read.name}`, what });
  }
  if (damages.length > 0) throw failing(folder, damages);
  if (!fromDisk) onNote?.(FROM_MEMORY);
}

/** Their bytes may have been in memory only when they were read first. */
async function verifyPackages(
  folder: string,
  packages: ReadonlyMap<string, MediumFile>,
  { onProgress = () => undefined }: SignManifestOptions,
): Promise<void> {
  const damages: MediumFault[] = [];
  const advance = (name: string, bytes: number): void => {
    onProgress(name, bytes);
  };
  for await (const read of readBack(folder, packagesOn(folder), [...packages.keys()], advance)) {
    if (read.found?.sha512 === packages.get(read.name)?.sha512) continue;
    const what = read.fault ?? 'what is read back is not what was there before';
    damages.push({ path: read.name, what });
  }
  if (damages.length > 0) throw failing(folder, damages);
}

async function verifyManifest(
  folder: string,
  serial: number,
  { mediumSigners }: SignManifestOptions,
): Promise<void> {
  const path = join(folder, MANIFEST_FILE);
  await dropFromPageCache([path]);
  try {
    if ((await readManifest(folder, mediumSigners))?.manifest.serial === serial) return;
    throw new CacheError('storage', 'it is not the one that was written');
  } catch (error) {
    if (!(error instanceof CacheError)) throw error;
    throw failing(folder, [{ path: MANIFEST_FILE, what: error.message }]);
  }
}

function failing(folder: string, damages: readonly MediumFault[]): CacheError {
  return new CacheError(
    'storage',
    `the medium at ${folder} is failing; use another one:\n${formatDamages(damages)}`,
  );
}

/** The manifest must cover exactly the files that exist. */
async function checkNothingCame(
  folder: string,
  files: ReadonlyMap<string, MediumFile>,
  packages: ReadonlyMap<string, MediumFile>,
): Promise<void> {
  const inStore = unlike(files, await listStoreFiles(folder));
  const inPackages = unlike(packages, await listPackages(folder));
  checkIsSound(
    folder,
    [...inStore.map((name) => `${STORE_FOLDER}/${name}`), ...inPackages].map((path) => ({
      path,
      what: 'is damaged, or changed while it was exported',
    })),
  );
}

function unlike(files: ReadonlyMap<string, MediumFile>, { sizes, strays }: FolderFiles): readonly string[] {
  const others = [...sizes].filter(([name, size]) => files.get(name)?.size !== size).map(([name]) => name);
  const gone = [...files.keys()].filter((name) => !sizes.has(name));
  return [...strays, ...others, ...gone];
}
