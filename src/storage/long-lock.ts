import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rename, rm, rmdir, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CacheError, systemCode } from '../cache/errors.ts';
import { throwUnlessAbsent } from './storage-error.ts';
import { ownerStateOf, ownerTag, tellsOwner } from './temporary-name.ts';
import { adoptFolder, ownershipOf } from './ownership.ts';

const PAUSE_MS = 20;
/** How often who holds a lock for long shows that he goes on, in milliseconds. */
const BEAT_MS = 3000;

/**
 * Takes a lock that many processes share, also on file systems that know neither links nor flock. Nobody waits for it.
 *
 * It is a folder with one folder in it, whose name tells the owner (temporary-name.ts) and is never used twice. To take
 * the lock, such a pair that was made ready beside its place is renamed to the lock's name: that fails where a folder with
 * something in it has that name, and is otherwise done in one step, owner and all. To free it, or to take it from an owner
 * who is gone, that owner's folder is removed, which can't hit anybody else. The owner shows now and then that he goes
 * on: one who can't be seen from here counts as gone when he didn't for `patience`.
 * @param patience milliseconds
 * @param onWait told when that has to be waited for
 * @returns what frees it, to be called once, always, which never fails; undefined where somebody else has it
 * @throws what the system says, when it can't be made
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
    utimes(join(lock, mine), now, now).catch(() => undefined); // Perhaps the disk is gone; who writes finds out.
  }, BEAT_MS).unref();
  return async () => {
    clearInterval(beat);
    // What stays is taken from an owner who is gone.
    await removeOwner(lock, mine).catch(() => undefined);
  };
}

/** What others had made ready that were killed before they took the lock. */
async function removeLitter(folder: string): Promise<void> {
  for (const name of await readdir(folder)) {
    if (!tellsOwner(name) || ownerStateOf(name) !== 'gone') continue;
    // Empty folders in an empty one: anything else isn't from here.
    await rmdir(join(folder, name, name)).catch(() => undefined);
    await rmdir(join(folder, name)).catch(() => undefined);
  }
}

/** Takes the lock, unless somebody has it. @returns whether somebody has */
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

/** Differs when another one has the lock, or the same one has gone on. */
async function signOfLife(lock: string, owner: string): Promise<string> {
  const stats = await stat(join(lock, owner)).catch(() => undefined);
  return `${owner} ${stats?.mtimeMs ?? 'gone'}`;
}

/** Whoever waits for the lock has to remove both folders when their owner is gone. @param root whose owner they get */
async function prepareLock(prepared: string, owner: string, root: string): Promise<void> {
  const like = await ownershipOf(root);
  await mkdir(join(prepared, owner));
  await adoptFolder(join(prepared, owner), like);
  await adoptFolder(prepared, like);
}

/** The name of an owner's folder, never used twice. */
function newOwner(): string {
  return `${ownerTag()}.${randomBytes(9).toString('hex')}`;
}

/** @returns whether the lock is taken now */
async function takeAtOnce(prepared: string, lock: string, attempts = 3): Promise<boolean> {
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
async function ownerOf(lock: string): Promise<string | undefined> {
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

async function removeOwner(lock: string, owner: string): Promise<void> {
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
