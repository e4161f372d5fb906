import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rename, rm, rmdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CacheError, systemCode } from '../cache/errors.ts';
import { throwUnlessAbsent } from './storage-error.ts';
import { checkIsStillThere, TEMPORARY } from './store-folder.ts';
import { ownerStateOf, ownerTag } from './temporary-name.ts';

const LONGEST_PAUSE_MS = 20;

/**
 * Takes a lock that many processes share, also on file systems that know neither links nor flock, and that outlives no
 * owner.
 *
 * It is a folder with one folder in it, whose name tells the owner (temporary-name.ts) and is never used twice. To take
 * the lock, such a pair that was made ready under `tmp/` is renamed to the lock's name: that fails where a folder with
 * something in it has that name, and is otherwise done in one step, owner and all. To free it, the owner's folder is
 * removed. To take it from an owner who is gone, *that owner's* folder is removed, which can't hit anybody else; then all
 * who wait try as usual.
 *
 * An owner who can't be seen from here (another machine, another container, a disk that was carried over) counts as gone
 * when nothing changed for as long as `patience`. So what is done under the lock must take much less.
 * @param patience milliseconds
 * @returns what frees it; to be called once, always
 * @throws CacheError `storage` when an owner that is alive doesn't go on for so long
 */
export async function takeFolderLock(
  root: string,
  name: string,
  patience: number,
): Promise<() => Promise<void>> {
  const lock = join(root, name);
  const mine = newOwner();
  const prepared = join(root, TEMPORARY, mine);
  await makeTemporary(root, prepared);
  try {
    await mkdir(join(prepared, mine));
    await take(prepared, lock, patience);
  } catch (error) {
    await rm(prepared, { recursive: true, force: true });
    throw error;
  }
  return () => removeOwner(lock, mine);
}

/** The name of an owner's folder, never used twice. */
export function newOwner(): string {
  return `${ownerTag()}.${randomBytes(9).toString('hex')}`;
}

async function makeTemporary(root: string, folder: string): Promise<void> {
  try {
    await mkdir(folder);
    return;
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
  }
  // A store that was put together by copying may lack it; the empty mount point of a disk that was unplugged must.
  await checkIsStillThere(root);
  await mkdir(join(root, TEMPORARY), { recursive: true });
  await mkdir(folder);
}

async function take(prepared: string, lock: string, patience: number): Promise<void> {
  let owner: string | undefined;
  let since = performance.now();
  for (let pause = 1; !(await takeAtOnce(prepared, lock)); pause = Math.min(2 * pause, LONGEST_PAUSE_MS)) {
    const present = await ownerOf(lock);
    if (present !== owner) {
      owner = present;
      since = performance.now();
    }
    if (owner !== undefined) {
      const state = ownerStateOf(owner);
      const waited = performance.now() - since;
      if (state === 'gone' || (state === 'unseen' && waited > patience)) await removeOwner(lock, owner);
      if (waited > (state === 'alive' ? patience : 2 * patience)) {
        throw new CacheError(
          'storage',
          `${lock} is held by somebody who doesn't go on (${owner}); end that process, or remove ${lock} if there is none`,
        );
      }
    }
    // Not all of those who wait at the same moment.
    await sleep(pause * (0.5 + Math.random()));
  }
}

/** @returns whether the lock is taken now */
export async function takeAtOnce(prepared: string, lock: string, attempts = 3): Promise<boolean> {
  try {
    await rename(prepared, lock);
    return true;
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOTEMPTY' || code === 'EEXIST') return false;
    if (code === 'EPERM') {
      // fusefat says so of any folder that is in the place, which may have gone meanwhile. It also loses what is in a
      // folder that it renames: two can have the lock there, but nobody waits for ever.
      if ((await stat(lock).catch(() => undefined))?.isDirectory()) return false;
      if (attempts > 1) return takeAtOnce(prepared, lock, attempts - 1);
    }
    if (code !== 'ENOTDIR') throw error;
    throw new CacheError('storage', `${lock} is not a folder; move it away`, { cause: error });
  }
}

/** undefined when it was freed meanwhile */
export async function ownerOf(lock: string): Promise<string | undefined> {
  try {
    const [owner] = await readdir(lock);
    // Some file systems don't rename over a folder, not even over an empty one.
    if (owner === undefined) await removeIfEmpty(lock);
    return owner;
  } catch (error) {
    throwUnlessAbsent(error, `can't list ${lock}`);
    return undefined;
  }
}

export async function removeOwner(lock: string, owner: string): Promise<void> {
  await removeIfEmpty(join(lock, owner));
  await removeIfEmpty(lock);
}

/** Others may be faster, to remove it or to put something in. */
async function removeIfEmpty(folder: string): Promise<void> {
  try {
    await rmdir(folder);
  } catch (error) {
    const code = systemCode(error);
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throwUnlessAbsent(error, `can't remove ${folder}`);
  }
}
