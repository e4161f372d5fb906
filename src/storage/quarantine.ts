import { createWriteStream, type Stats } from 'node:fs';
import { link, mkdir, rename, rm, utimes } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { systemCode } from '../cache/errors.ts';
import { QUARANTINE } from '../cache/layout.ts';
import type { Quarantine } from '../cache/store-upkeep.ts';
import { createDurableNames, makeDurable } from './durable-names.ts';
import { openRegularFile } from '../files/small-file.ts';
import { makeFoldersBelow } from './folders-below.ts';
import { lstatIfThere } from './if-there.ts';
import { adoptFolder, ownershipOf } from './ownership.ts';
import { storageError } from './storage-error.ts';
import { checkIsStillThere } from './store-folder.ts';

/**
 * The quarantine of the store at `root`, in `quarantine/<time>/<path>` on its file system, so that even unreadable
 * files can be moved. Each process makes a folder of its own when it needs it.
 */
export function createQuarantine(root: string, now: () => Date = () => new Date()): Quarantine {
  let folder: Promise<string> | undefined;
  const durable = createDurableNames();

  const put = async (
    path: string,
    bring: (from: string, to: string, stats: Stats) => Promise<void>,
  ): Promise<string | undefined> => {
    const from = join(root, path);
    try {
      const stats = await lstatIfThere(from);
      if (stats === undefined) {
        await checkIsStillThere(root);
        return undefined;
      }
      folder ??= makeFolder(root, now());
      const target = await freePath(root, `${await folder}/${path}`);
      const to = join(root, target);
      await makeFoldersBelow(root, dirname(to));
      await bring(from, to, stats);
      await makeDurable(to, durable, { isSynced: true });
      return target;
    } catch (error) {
      throw storageError(error, `can't put ${from} into quarantine`);
    }
  };

  return {
    move: (path) => put(path, rename),
    keep: (path) =>
      put(path, async (from, to, stats) => {
        if (!stats.isFile() || !((await tryLink(from, to)) || (await tryCopy(from, to, stats))))
          await rename(from, to);
      }),
  };
}

/** @returns its path in the store, which FAT also allows */
async function makeFolder(root: string, time: Date): Promise<string> {
  const base = `${QUARANTINE}${time.toISOString().replace(/[-:]|\.\d+/g, '')}`;
  await makeFoldersBelow(root, join(root, QUARANTINE));
  for (let number = 1; ; number++) {
    const folder = number === 1 ? base : `${base}-${number}`;
    try {
      await mkdir(join(root, folder));
      await adoptFolder(join(root, folder), await ownershipOf(root));
      return folder;
    } catch (error) {
      if (systemCode(error) !== 'EEXIST') throw error;
    }
  }
}

/** Numbers the path of a file that came back after quarantine and is bad again. */
async function freePath(root: string, path: string): Promise<string> {
  for (let number = 1; ; number++) {
    const candidate = number === 1 ? path : `${path}-${number}`;
    if ((await lstatIfThere(join(root, candidate))) === undefined) return candidate;
  }
}

/** FAT has no links. */
async function tryLink(from: string, to: string): Promise<boolean> {
  return link(from, to).then(
    () => true,
    () => false,
  );
}

/** @returns false if the file is unreadable or its copy doesn't fit */
async function tryCopy(from: string, to: string, { atime, mtime }: Stats): Promise<boolean> {
  const copying = `${to}.part`;
  try {
    // Some FAT drivers lack the system calls of `copyFile`, which copy at once and set permissions.
    const file = await openRegularFile(from);
    await pipeline(file.createReadStream(), createWriteStream(copying, { flags: 'wx', flush: true }));
    await utimes(copying, atime, mtime).catch(() => undefined);
    await rename(copying, to);
    return true;
  } catch {
    await rm(copying, { force: true });
    return false;
  }
}
