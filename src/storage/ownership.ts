import { constants, type Stats } from 'node:fs';
import { mkdir, open, stat, type FileHandle } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { systemCode } from '../cache/errors.ts';

/**
 * What root, or another member of a group, writes into a store is read by the server, which runs as the store's owner: so
 * new files and folders take owner, group and mode from the folder of the store, whatever the umask.
 */
export type Ownership = Pick<Stats, 'uid' | 'gid' | 'mode'>;

export function ownershipOf(folder: string): Promise<Ownership> {
  return stat(folder);
}

/**
 * Gives a new file away, as far as this process may.
 * @param mode of which group and others get no more than in the folder; without, it stays as it is
 * @returns why the owner of the folder can't read it then; undefined when he can
 */
export async function adoptFile(
  file: FileHandle,
  like: Ownership,
  mode?: number,
): Promise<string | undefined> {
  return adopt(file, await file.stat(), like, mode === undefined ? mode : mode & (like.mode | 0o600));
}

/** The same for a folder that was just made. @param withMode whether it gets the mode, too */
export async function adoptFolder(path: string, like: Ownership, withMode = true): Promise<void> {
  // Who owns the folder around it may have put a link to something else there meanwhile, or another folder.
  const flags = constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW;
  const folder = await open(path, flags).catch((error: unknown) => {
    const code = systemCode(error);
    if (code !== 'ENOENT' && code !== 'ELOOP' && code !== 'ENOTDIR' && code !== 'EACCES') throw error;
    return undefined;
  });
  if (folder === undefined) return;
  try {
    const stats = await folder.stat();
    const mode = withMode ? (like.mode & 0o2777) | 0o700 : undefined;
    if (isJustMade(stats)) await adopt(folder, stats, like, mode);
  } finally {
    await folder.close();
  }
}

/** Milliseconds; the clocks of a file server and of this machine differ. */
const JUST_NOW = 10 * 60_000;

function isJustMade({ uid, birthtimeMs, ctimeMs }: Stats): boolean {
  return uid === process.geteuid?.() && Math.abs(Date.now() - (birthtimeMs || ctimeMs)) < JUST_NOW;
}

async function adopt(
  made: FileHandle,
  before: Stats,
  like: Ownership,
  mode = before.mode & 0o7777,
): Promise<string | undefined> {
  const { uid, gid } = before;
  if (uid === like.uid && gid === like.gid && (before.mode & 0o7777) === mode)
    return ownerFault(before, like);
  if (uid !== like.uid) await ifAllowed(() => made.chown(like.uid, like.gid));
  // Who may not give it away may be in the group all the same.
  if ((await made.stat()).gid !== like.gid) await ifAllowed(() => made.chown(uid, like.gid));
  if ((before.mode & 0o7777) !== mode) await ifAllowed(() => made.chmod(mode));
  return ownerFault(await made.stat(), like);
}

/** FAT knows no owners, and who isn't root may give nothing away. */
async function ifAllowed(change: () => Promise<void>): Promise<void> {
  try {
    await change();
  } catch (error) {
    const code = systemCode(error);
    if (code !== 'EPERM' && code !== 'EINVAL' && code !== 'ENOTSUP' && code !== 'ENOSYS') throw error;
  }
}

/**
 * Why the owner of a store can't read a file in it, or write to a folder, going by owner, group and mode; undefined when he can.
 */
export function ownerFault({ uid, gid, mode }: Ownership, owner: Ownership): string | undefined {
  if (owner.uid === 0) return undefined;
  const isFolder = (mode & constants.S_IFMT) === constants.S_IFDIR;
  const needed = isFolder ? 0o7 : 0o4;
  const granted = (uid === owner.uid ? mode >> 6 : gid === owner.gid ? mode >> 3 : mode) & 0o7;
  if ((granted & needed) === needed) return undefined;
  const octal = (mode & 0o777).toString(8).padStart(4, '0');
  return `it belongs to user ${uid}, group ${gid}, mode ${octal}: user ${owner.uid}, whom the store belongs to, can't ${isFolder ? 'write' : 'read'} it`;
}

/** Makes a folder and those above it. What root makes in the folder of somebody else is theirs. @returns as mkdir does */
export async function makeFolders(path: string): Promise<string | undefined> {
  const outermost = await makeMissing(path);
  if (outermost === undefined || process.geteuid?.() !== 0) return outermost;
  const like = await ownershipOf(dirname(outermost));
  if (like.uid === 0) return outermost;
  const below = relative(outermost, path).split(sep).filter(Boolean);
  let folder = outermost;
  await adoptFolder(folder, like, false);
  for (const name of below) {
    folder = join(folder, name);
    await adoptFolder(folder, like, false);
  }
  return outermost;
}

/**
 * Makes a folder and those that it is in. Node's own `recursive` tells the lack of inodes as ENOENT.
 * @returns the outermost that was missing; undefined when it is there
 */
async function makeMissing(path: string): Promise<string | undefined> {
  try {
    return await makeOne(path);
  } catch (error) {
    if (systemCode(error) !== 'ENOENT' || dirname(path) === path) throw error;
  }
  const outermost = await makeMissing(dirname(path));
  const made = await makeOne(path);
  return outermost ?? made;
}

async function makeOne(path: string): Promise<string | undefined> {
  try {
    await mkdir(path);
    return path;
  } catch (error) {
    // Not by its code: some say EROFS or EACCES of a folder that is there.
    if ((await stat(path).catch(() => undefined))?.isDirectory()) return undefined;
    throw error;
  }
}
