import { randomBytes } from 'node:crypto';
import { lstat, open, readdir, rename, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { createHasher, type Digest } from '../../cache/digest.ts';
import { CacheError, systemCode } from '../../cache/errors.ts';
import { makeDurable } from '../../storage/durable-names.ts';
import { checkRoom } from '../../storage/free-space.ts';
import { openFile } from '../../storage/open-file.ts';
import { adoptFile, makeFolders, ownershipOf } from '../../storage/ownership.ts';
import { isLeftover, ownerTag, tellsOwner } from '../../storage/temporary-name.ts';
import { keepDurable, writeError } from '../files.ts';
import { isWithin, realPathOf } from '../is-within.ts';
import { isOfProgram, PACKAGES_FOLDER, type MediumFile } from './manifest.ts';
import type { MediumFault } from './medium-faults.ts';
import { digestObject } from './object-digest.ts';
import { readPackage } from './packages.ts';

/** Files of `packages/`, on their way from a medium into a folder of the site; those of the program are only verified. */
export interface PackageCopy {
  /** Bytes that `read` reads. */
  readonly bytes: number;
  /**
   * Reads and verifies the files; none shows in the folder yet.
   * @returns the damaged files
   * @throws CacheError `storage`, `no-space`: the folder fails
   */
  read(): Promise<readonly MediumFault[]>;
  /** Number of verified files that have no name yet. */
  count(): number;
  /** Gives the verified files their names, and replaces files of the same name. @throws CacheError `storage` */
  place(): Promise<void>;
  /** Removes copies without a name. */
  abort(): Promise<void>;
}

/**
 * @param files to copy, by path on the medium
 * @param folder undefined: they are only read
 * @param onProgress receives the bytes of a file read since the last call
 * @throws CacheError `no-space`, `storage`, also for a link out of the folder
 */
export async function createPackageCopy(
  medium: string,
  files: ReadonlyMap<string, MediumFile>,
  folder: string | undefined,
  onProgress: (digest: Digest, bytes: number) => void,
): Promise<PackageCopy> {
  const wanted = new Map<string, MediumFile>();
  const there: string[] = [];
  for (const [name, file] of files) {
    const target = targetOf(name, folder);
    if (folder !== undefined && target !== undefined) await checkIsInside(dirname(target), folder);
    if (target !== undefined && (await hasFile(target, file))) there.push(target);
    else wanted.set(name, file);
  }
  const bytes = [...wanted.values()].reduce((sum, { size }) => sum + size, 0);
  if (folder !== undefined && wanted.size > 0) {
    await removeLeftovers(folder);
    await checkRoom(folder, bytes, 0);
  }
  const copies: { readonly path: string; readonly temporary: string }[] = [];

  return {
    bytes,
    async read() {
      const faults: MediumFault[] = [];
      for (const [name, { sha512 }] of wanted) {
        const advance = (count: number): void => {
          onProgress(sha512, count);
        };
        const target = targetOf(name, folder);
        const temporary = folder === undefined || target === undefined ? undefined : newName(folder);
        if (target !== undefined && temporary !== undefined) copies.push({ path: target, temporary });
        const what = await faultOf(readPackage(medium, name), sha512, temporary, advance);
        if (what === undefined) continue;
        faults.push({ path: name, what });
        if (temporary === undefined) continue;
        await removeFile(temporary);
        copies.pop();
      }
      return faults;
    },
    count: () => copies.length,
    async place() {
      for (const path of there) await keepDurable(path);
      for (const { path, temporary } of copies) {
        try {
          await makeFolders(dirname(path));
          await rename(temporary, path);
          await makeDurable(path, undefined, { isSynced: true });
        } catch (error) {
          throw writeError(path, error);
        }
      }
    },
    async abort() {
      for (const { temporary } of copies) await removeFile(temporary);
    },
  };
}

/** Where a file is copied to; the program is not copied, because a site has it already. */
function targetOf(path: string, folder: string | undefined): string | undefined {
  return folder === undefined || isOfProgram(path)
    ? undefined
    : join(folder, path.slice(PACKAGES_FOLDER.length + 1));
}

/** A link would lead to other folders of the machine, and the names come from a medium. @throws CacheError `storage` */
async function checkIsInside(path: string, folder: string): Promise<void> {
  if (isWithin(await realPathOf(path), await realPathOf(folder))) return;
  throw new CacheError('storage', `${path} leads out of ${folder}; remove the link`);
}

/** Whether the site has the same file already. */
async function hasFile(path: string, { size, sha512 }: MediumFile): Promise<boolean> {
  const stats = await lstat(path).catch((error: unknown) => {
    const code = systemCode(error);
    if (code !== 'ENOENT' && code !== 'ENOTDIR') throw writeError(path, error);
    return undefined;
  });
  if (!stats?.isFile() || stats.size !== size) return false;
  return (await digestObject({ open: openFile }, path))?.sha512 === sha512;
}

/** Copies the bytes of a file into a new one, if that has a name. @returns how they differ from `sha512` */
async function faultOf(
  pieces: AsyncIterable<Uint8Array>,
  sha512: Digest,
  copy: string | undefined,
  onProgress: (bytes: number) => void,
): Promise<string | undefined> {
  const hasher = createHasher();
  const file = copy === undefined ? undefined : await createCopy(copy);
  try {
    for await (const piece of pieces) {
      hasher.update(piece);
      await file?.writeFile(piece);
      onProgress(piece.byteLength);
    }
    await file?.sync();
  } catch (error) {
    if (error instanceof CacheError && error.code === 'invalid-medium') return error.message;
    throw copy === undefined || error instanceof CacheError ? error : writeError(copy, error);
  } finally {
    await file?.close();
  }
  return hasher.digest() === sha512 ? undefined : 'changed';
}

async function createCopy(path: string): ReturnType<typeof open> {
  const folder = dirname(path);
  try {
    await makeFolders(folder);
    const like = await ownershipOf(folder);
    const file = await open(path, 'wx', 0o644);
    try {
      await adoptFile(file, like, 0o644);
      return file;
    } catch (error) {
      await file.close();
      throw error;
    }
  } catch (error) {
    throw writeError(path, error);
  }
}

/** Hidden, and on the file system of the folder; names its writer, so that what a killed import leaves is found. */
function newName(folder: string): string {
  return join(folder, `.${ownerTag()}.${randomBytes(9).toString('hex')}`);
}

async function removeLeftovers(folder: string): Promise<void> {
  for (const name of await readdir(folder).catch(noneIfAbsent)) {
    if (!name.startsWith('.') || !tellsOwner(name.slice(1))) continue;
    const stats = await lstat(join(folder, name)).catch(() => undefined);
    if (stats !== undefined && isLeftover(name.slice(1), stats.mtimeMs)) await removeFile(join(folder, name));
  }
}

function noneIfAbsent(error: unknown): readonly string[] {
  if (systemCode(error) !== 'ENOENT') throw error;
  return [];
}

async function removeFile(path: string): Promise<void> {
  await unlink(path).catch((error: unknown) => {
    if (systemCode(error) !== 'ENOENT') throw writeError(path, error);
  });
}
