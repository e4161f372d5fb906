import { lstat, mkdir, open, readdir, rename, stat, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { CacheError, systemCode } from '../cache/errors.ts';
import { makeDurable } from '../storage/durable-names.ts';
import { checkRoom, ROOM_CHECK_INTERVAL } from '../storage/free-space.ts';
import { adoptFile, adoptFolder, ownershipOf } from '../storage/ownership.ts';
import { storageError, throwUnlessAbsent } from '../storage/storage-error.ts';
import { isLeftover, ownerTag } from '../storage/temporary-name.ts';

/** An archive that is being written into a folder; it gets its name when it is complete. */
export interface NewArchive {
  /** Resolves when the chunks may be reused. @throws CacheError `no-space`, `storage` */
  write(chunks: readonly Uint8Array[]): Promise<void>;
  /**
   * Syncs the archive and gives it its name, replacing any file of that name. @throws CacheError `no-space`,
   * `storage`
   */
  keep(name: string): Promise<void>;
  /** Discards the written bytes; does nothing after `keep`. */
  abort(): Promise<void>;
}

/** `.OWNER.WORD.part`: hidden, not named like an archive, and names its writer. */
const TEMPORARY = /^\.(\w+-\w+-\w+-\d+-\d+\.\w+\.part)$/;

/**
 * Makes the folder for archives, but not its parents: an unmounted medium would be written to the disk beneath.
 * Removes leftovers of killed writers.
 * @throws CacheError `usage` if it can't be made, `storage` if it can't be read
 */
export async function prepareFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder);
    await adoptFolder(folder, await ownershipOf(dirname(folder)), false);
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOENT')
      throw new CacheError('usage', `${folder}: its parent folder does not exist; is the medium mounted?`);
    if (code !== 'EEXIST') throw storageError(error, `can't make ${folder}`);
    if (!(await stat(folder)).isDirectory()) throw new CacheError('usage', `${folder} is not a folder`);
  }
  try {
    for (const name of await readdir(folder)) {
      const temporary = TEMPORARY.exec(name)?.[1];
      if (temporary === undefined) continue;
      const { mtimeMs } = await lstat(join(folder, name));
      if (isLeftover(temporary, mtimeMs)) await unlink(join(folder, name));
    }
  } catch (error) {
    throwUnlessAbsent(error, `can't clean up ${folder}`);
  }
}

/**
 * @param word letters and digits that distinguish it from the process's other archives
 * @param minFreeSpace bytes to keep free
 * @throws CacheError `no-space`, `storage`
 */
export async function createNewArchive(
  folder: string,
  word: string,
  minFreeSpace: number,
): Promise<NewArchive> {
  const path = join(folder, `.${ownerTag()}.${word}.part`);
  await checkRoom(folder, 0, minFreeSpace);
  const file = await writing(path, async () => {
    const made = await open(path, 'wx');
    await adoptFile(made, await ownershipOf(folder));
    return made;
  });
  let nextCheck = ROOM_CHECK_INTERVAL;
  let position = 0;
  let state: 'open' | 'kept' | 'aborted' = 'open';

  return {
    async write(chunks) {
      if (position >= nextCheck) {
        nextCheck = position + ROOM_CHECK_INTERVAL;
        await checkRoom(folder, 0, minFreeSpace);
      }
      for (const chunk of chunks) {
        await writing(path, () => file.appendFile(chunk));
        position += chunk.byteLength;
      }
    },
    keep: (name) =>
      writing(join(folder, name), async () => {
        await file.sync();
        await file.close();
        await rename(path, join(folder, name));
        state = 'kept';
        await makeDurable(join(folder, name), undefined, { isSynced: true });
      }),
    async abort() {
      if (state !== 'open') return;
      state = 'aborted';
      // A second close does nothing.
      await file.close();
      await unlink(path).catch((error: unknown) => {
        throwUnlessAbsent(error, `can't remove ${path}`);
      });
    },
  };
}

async function writing<T>(path: string, write: () => Promise<T>): Promise<T> {
  try {
    return await write();
  } catch (error) {
    throw storageError(error, `can't write ${path}`);
  }
}
