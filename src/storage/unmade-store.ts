import { lstat, rmdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { STORE_FILE } from '../cache/layout.ts';
import { makeFoldersBelow } from './folders-below.ts';
import { makeFolders } from './ownership.ts';
import { throwUnlessAbsent } from './storage-error.ts';
import { checkIsStillThere, isMarked, TEMPORARY } from './store-folder.ts';

/**
 * A store that is made with the first object that gets its name. Of an import that is refused nothing must be left that
 * passes for a store: a server would answer 404 from it, perhaps out of the empty mount point of a disk.
 */
export interface UnmadeStore {
  /** Whether it is still to be made: until then, it has nothing. */
  readonly isPending: boolean;
  /** Makes the folders that objects are written in. They may be taken back by others: then again. */
  prepare(): Promise<void>;
  /**
   * Makes the store, for an object that is about to get its name.
   * @param path where it was written: as long as it's there, the disk is
   * @throws CacheError `storage`
   */
  admit(path: string, name: string): Promise<void>;
  /** Removes the folders that were made, unless somebody else uses them. */
  takeBack(): Promise<void>;
}

/**
 * @param mark writes `store.json`
 * @param inFolder whether the store's folder must be there already
 */
export function createUnmadeStore(
  root: string,
  { mark, inFolder }: { readonly mark: () => Promise<void>; readonly inFolder: boolean },
): UnmadeStore {
  const temporary = join(root, TEMPORARY);
  /** The outermost folder that was made. */
  let outermost: string | undefined;
  let isPending = true;
  let making: Promise<void> | undefined;
  let preparing: Promise<void> | undefined;

  /** By one at a time: what is made in the store's folder takes the owner that this has got by then. */
  const makeOwnFolders = async (): Promise<void> => {
    const madeRoot = inFolder ? undefined : await makeFolders(root);
    const [madeTemporary] = await makeFoldersBelow(root, temporary);
    outermost = madeRoot ?? outermost ?? madeTemporary;
  };

  const make = async (path: string, name: string): Promise<void> => {
    try {
      await lstat(path);
    } catch (error) {
      throwUnlessAbsent(error, `can't look at ${path}`);
      await checkIsStillThere(root);
    }
    if (!(await isMarked(root)) && name !== STORE_FILE) await mark();
    isPending = false;
  };

  return {
    get isPending() {
      return isPending;
    },
    async prepare() {
      preparing ??= makeOwnFolders().finally(() => (preparing = undefined));
      await preparing;
    },
    async admit(path, name) {
      if (!isPending) return;
      making ??= make(path, name).finally(() => (making = undefined));
      await making;
    },
    async takeBack() {
      if (!isPending || outermost === undefined) return;
      try {
        if ((await lstat(join(root, STORE_FILE)).catch(() => undefined)) !== undefined) return;
        for (let folder = temporary; ; folder = dirname(folder)) {
          await rmdir(folder);
          if (folder === outermost) break;
        }
      } catch {
        // Somebody else writes there, or what is left are empty folders: no store in either case.
      }
    },
  };
}
