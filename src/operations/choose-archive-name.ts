import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { createHasher, type Digest } from '../cache/digest.ts';
import { CacheError } from '../cache/errors.ts';
import type { Key } from '../cache/key.ts';
import { createArchiveInspector } from '../release/archive-inspection.ts';
import { throwUnlessAbsent } from '../storage/storage-error.ts';
import { readFilePieces } from './read-file.ts';

/**
 * The first name that is free in the folder, or that belongs to an older archive of the same release.
 * @throws CacheError `invalid-archive` if every name is taken; `storage` if the folder can't be read
 */
export async function chooseArchiveName(folder: string, names: readonly string[], key: Key): Promise<string> {
  for (const name of names) {
    const path = join(folder, name);
    const file = await statOf(path);
    if (file === undefined || (file.isFile() && (await folderInArchive(path, file.size)) === key))
      return name;
  }
  throw new CacheError(
    'invalid-archive',
    `${names.join(' and ')} are in ${folder} already and hold something else; move them away, or name another folder with --output`,
  );
}

/**
 * Whether a file exists and holds these bytes. @throws CacheError `storage`, `invalid-archive` if it can't be read
 */
export async function holdsBytes(
  path: string,
  { size, sha512 }: { readonly size: number; readonly sha512: Digest },
): Promise<boolean> {
  if ((await statOf(path))?.size !== size) return false;
  const hasher = createHasher();
  for await (const piece of readFilePieces(path)) hasher.update(piece);
  return hasher.digest() === sha512;
}

async function statOf(path: string) {
  try {
    return await stat(path);
  } catch (error) {
    throwUnlessAbsent(error, `can't look at ${path}`);
    return undefined;
  }
}

/** The folder name in an archive, from its beginning; undefined if it is no archive. */
async function folderInArchive(path: string, size: number): Promise<string | undefined> {
  const inspector = createArchiveInspector(size);
  try {
    for await (const piece of readFilePieces(path)) {
      await inspector.write(piece);
      const { folder } = await inspector.glimpse();
      if (folder !== undefined) return folder;
    }
  } catch (error) {
    if (!(error instanceof CacheError)) throw error;
  } finally {
    inspector.abort();
  }
  return undefined;
}
