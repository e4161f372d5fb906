import { mkdir, readdir, rm, rmdir, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CacheError } from '../cache/errors.ts';
import { newOwner, ownerOf, removeOwner, takeAtOnce } from './folder-lock.ts';
import { ownerStateOf, tellsOwner } from './temporary-name.ts';

const PAUSE_MS = 20;
/** How often who holds a lock for long shows that he goes on, in milliseconds. */
const BEAT_MS = 3000;

/**
 * Takes a lock as folder-lock.ts has it, made ready beside its place, that is held for long and isn't waited for. Its owner
 * shows now and then that he goes on: one who can't be seen from here counts as gone when he didn't for `patience`.
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
    await mkdir(join(prepared, mine));
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
