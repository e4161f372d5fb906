import { join } from 'node:path';
import { CacheError } from '../../cache/errors.ts';
import type { ObjectStorage } from '../../cache/object-storage.ts';
import { makeDurable } from '../../storage/durable-names.ts';
import { openFile } from '../../storage/open-file.ts';
import { storageError } from '../../storage/storage-error.ts';
import type { Signer } from '../../cache/signature.ts';
import { isOfProgram, PACKAGES_FOLDER, type MediumFile } from './manifest.ts';
import { formatDamages } from './medium-faults.ts';
import type { MediumRoot } from './medium-root.ts';
import { digestObject, readOnMedium } from './object-digest.ts';

/**
 * The list of `packages/` and of the program for `sha512sum --check`, and its signature for `openssl dgst -verify`: a machine verifies this
 * program by them before it runs it.
 */
const CHECKSUMS = `${PACKAGES_FOLDER}.sha512`;
const CHECKSUMS_SIGNATURE = `${CHECKSUMS}.sig`;

/** Opens files of a medium by their paths. */
export function packagesOn(medium: string): Pick<ObjectStorage, 'open'> {
  return { open: (name) => openFile(join(medium, name)) };
}

/**
 * The bytes of a file of a medium. A piece is valid until the next is requested.
 * @throws CacheError `invalid-medium`: it can't be read, which concerns this file only
 */
export function readPackage(medium: string, name: string): AsyncGenerator<Uint8Array> {
  return readOnMedium(() => packagesOn(medium).open(name), 'missing');
}

/**
 * Reads files of a medium, and makes them durable.
 * @throws CacheError `storage`: one is gone, or can't be read
 */
export async function digestPackages(
  medium: string,
  names: Iterable<string>,
  onProgress: (label: string, bytes: number) => void,
): Promise<ReadonlyMap<string, MediumFile>> {
  const files = new Map<string, MediumFile>();
  for (const path of [...names].sort()) {
    const file = await digestObject(packagesOn(medium), path, (bytes) => {
      onProgress(path, bytes);
    });
    if (file === undefined) throw new CacheError('storage', `${join(medium, path)} is gone`);
    files.set(path, file);
    // A person has copied it, perhaps a moment ago.
    await makeDurable(join(medium, path)).catch((error: unknown) => {
      throw storageError(error, `can't sync ${join(medium, path)}`);
    });
  }
  return files;
}

/** A note about files of `packages/` that differ from an earlier manifest; undefined if none does. */
export function noteOfChanges(
  files: ReadonlyMap<string, MediumFile>,
  before: ReadonlyMap<string, MediumFile>,
): string | undefined {
  const changes = [
    ...[...files]
      .filter(([path, { sha512 }]) => !isOfProgram(path) && before.get(path)?.sha512 !== sha512)
      .map(([path]) => ({ path, what: before.has(path) ? 'other bytes' : 'new' })),
    ...[...before.keys()]
      .filter((path) => !isOfProgram(path) && !files.has(path))
      .map((path) => ({ path, what: 'removed' })),
  ];
  if (changes.length === 0) return undefined;
  return `note: ${PACKAGES_FOLDER}/ was changed since the last export, and is signed as it is now:\n${formatDamages(changes)}`;
}

/** Writes the checksums of `packages/` and of the program, or removes them if it is empty. @throws CacheError `storage`, `no-space` */
export async function writeChecksums(
  root: MediumRoot,
  files: ReadonlyMap<string, MediumFile>,
  signer: Signer,
): Promise<void> {
  if (files.size === 0) {
    for (const name of [CHECKSUMS, CHECKSUMS_SIGNATURE]) await root.removeFile(name);
    return;
  }
  const lines = [...files].map(([path, { sha512 }]) => `${sha512}  ${path}\n`);
  const [text, signature] = signer.signDocument(lines.join(''));
  await root.replaceFile(CHECKSUMS, text);
  await root.replaceFile(CHECKSUMS_SIGNATURE, Buffer.from(signature, 'base64'));
}
