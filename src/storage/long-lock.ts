import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rename, rm, rmdir, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CacheError, systemCode } from '../cache/errors.ts';
import { throwUnlessAbsent } from './storage-error.ts';
import { ownerStateOf, ownerTag, tellsOwner } from './temporary-name.ts';
import { adoptFolder, ownershipOf } from './ownership.ts';

const PAUSE_MS = 20;
/** Milliseconds between signs of life from the owner of a lock. */
const BEAT_MS = 3000;

/**
 * Takes a lock between processes, even on file systems without links and flock; never waits for a live owner.
 *
 * The lock is a folder that holds one folder, named after its owner (temporary-name.ts) and never reused. A rename of a
 * prepared pair takes the lock; removing the owner's folder frees it.
 * @param patience milliseconds without a sign of life after which an unseen owner counts as gone
 * @param onWait called when an unseen owner needs to be watched for a sign of life
 * @returns a function that frees the lock, never fails and must be called once; undefined if the lock is taken
 * @throws the system's error if the lock can't be made
 */
export async function takeLongLock(
  folder: string,
  name: string,
  { patience = 30_000, onWait }: { readonly patience?: number; readonly onWait?: () => void } = {},
): Promise<(() => Promise<void>) | undefined> {
  const lock = join(folder, name);
  const mine = newOwner();
  const prepared = join(folder, mine);
  await removeLitter(folder);
  await mkdir(prepared);
  try {
    await prepareLock(prepared, mine, folder);
    if (await isTakenByOther(prepared, lock, patience, onWait)) {
      await rm(prepared, { recursive: true });
      return undefined;
    }
  } catch (error) {
    await rm(prepared, { recursive: true, force: true });
    throw error;
  }
  const beat = setInterval(() => {
    const now = new Date();
    utimes(join(lock, mine), now, now).catch(() => undefined); // The disk may be gone; the next write reports that.
  }, BEAT_MS).unref();
  return async () => {
    clearInterval(beat);
    // Other processes take over a lock whose owner is gone.
    await removeOwner(lock, mine).catch(() => undefined);
  };
}

/** Removes folders that processes prepared before they were killed. */
async function removeLitter(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!tellsOwner(name) || ownerStateOf(name) !== 'gone') continue;
    // `rmdir` removes only empty folders: a folder with content is no prepared lock.
    await rmdir(join(folder, name, name)).catch(() => undefined);
    await rmdir(join(folder, name)).catch(() => undefined);
  }
}

/** Takes the lock if it is free. @returns whether another process has it */
async function isTakenByOther(
  prepared: string,
  lock: string,
  patience: number,
  onWait: (() => void) | undefined,
): Promise<boolean> {
  const began = performance.now();
  let sign: string | undefined;
  while (!(await takeAtOnce(prepared, lock))) {
    const owner = await ownerOf(lock);
    if (owner !== undefined && !tellsOwner(owner))
      throw new CacheError('storage', `${join(lock, owner)} is in the way; move it away`);
    const state = owner === undefined ? 'gone' : ownerStateOf(owner);
    if (state === 'alive') return true;
    const waited = performance.now() - began;
    if (waited > 2 * patience)
      throw new CacheError('storage', `${lock} can't be taken; remove it if nobody uses it`);
    if (owner !== undefined && state === 'unseen') {
      const seen = await signOfLife(lock, owner);
      if (sign === undefined) onWait?.();
      else if (seen !== sign) return true;
      sign = seen;
    }
    if (owner !== undefined && (state === 'gone' || waited > patience)) await removeOwner(lock, owner);
    await sleep(PAUSE_MS);
  }
  return false;
}

/** Changes when the owner changes or gives a sign of life. */
async function signOfLife(lock: string, owner: string): Promise<string> {
  const stats = await stat(join(lock, owner)).catch(() => undefined);
  return `${owner} ${stats?.mtimeMs ?? 'gone'}`;
}

/** A process that waits for the lock must be able to remove both folders. @param root gives them its owner */
async function prepareLock(prepared: string, owner: string, root: string): Promise<void> {
  const like = await ownershipOf(root);
  await mkdir(join(prepared, owner));
  await adoptFolder(join(prepared, owner), like);
  await adoptFolder(prepared, like);
}

/** The name of an owner's folder, never reused. */
function newOwner(): string {
  return `${ownerTag()}.${randomBytes(9).toString('hex')}`;
}

/** A rename takes the lock in one step, owner included; it fails on a folder with content. @returns whether it did */
async function takeAtOnce(prepared: string, lock: string, attempts = 3): Promise<boolean> {
  try {
    await rename(prepared, lock);
    return true;
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOTEMPTY' || code === 'EEXIST') return false;
    if (code === 'EPERM') {
      // fusefat reports EPERM for any folder in the way, even if it has gone meanwhile. It also empties a folder that
      // it renames: two processes can hold the lock there, but no process waits for ever.
      if ((await stat(lock).catch(() => undefined))?.isDirectory()) return false;
      if (attempts > 1) return takeAtOnce(prepared, lock, attempts - 1);
    }
    if (code !== 'ENOTDIR') throw error;
    throw new CacheError('storage', `${lock} is not a folder; move it away`, { cause: error });
  }
}

/** @returns undefined if the lock was freed meanwhile */
async function ownerOf(lock: string): Promise<string | undefined> {
  try {
    const [owner] = await readdir(lock);
    // Some file systems don't rename over a folder, even an empty folder.
    if (owner === undefined) await removeIfEmpty(lock);
    return owner;
  } catch (error) {
    throwUnlessAbsent(error, `can't list ${lock}`);
    return undefined;
  }
}

async function removeOwner(lock: string, owner: string): Promise<void> {
  await removeIfEmpty(join(lock, owner));
  await removeIfEmpty(lock);
}

/** Another process may remove or fill the folder first. */
async function removeIfEmpty(folder: string): Promise<void> {
  try {
    await rmdir(folder);
  } catch (error) {
    const code = systemCode(error);
    if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throwUnlessAbsent(error, `can't remove ${folder}`);
  }
}
