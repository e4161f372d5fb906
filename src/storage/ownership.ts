import { constants, type Stats } from 'node:fs';
import { mkdir, open, stat, type FileHandle } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { systemCode } from '../cache/errors.ts';

/**
 * New files and folders take owner, group and mode from the store's folder, whatever the umask: the server runs as the
 * store's owner and must read the files that root or a group member writes.
 */
export type Ownership = Pick<Stats, 'uid' | 'gid' | 'mode'>;

export function ownershipOf(folder: string): Promise<Ownership> {
  return stat(folder);
}

/**
 * Gives a new file the owner and group of `like`, as far as this process may.
 * @param mode for the file, limited to the permissions of `like` for group and others; unchanged by default
 * @returns why the owner of `like` can't read the file; undefined without a fault
 */
export async function adoptFile(
  file: FileHandle,
  like: Ownership,
  mode?: number,
): Promise<string | undefined> {
  return adopt(file, await file.stat(), like, mode === undefined ? mode : mode & (like.mode | 0o600));
}

/** The same for a new folder. @param withMode whether it also gets the mode */
export async function adoptFolder(path: string, like: Ownership, withMode = true): Promise<void> {
  // The owner of the parent folder may have replaced the new folder with a link or another folder.
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

/** Milliseconds; the clock of a file server may differ from the clock of this machine. */
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
  // A user who may not change the owner may still change the group.
  if ((await made.stat()).gid !== like.gid) await ifAllowed(() => made.chown(uid, like.gid));
  if ((before.mode & 0o7777) !== mode) await ifAllowed(() => made.chmod(mode));
  return ownerFault(await made.stat(), like);
}

/** FAT has no owners, and only root may change an owner. */
async function ifAllowed(change: () => Promise<void>): Promise<void> {
  try {
    await change();
  } catch (error) {
    const code = systemCode(error);
    if (code !== 'EPERM' && code !== 'EINVAL' && code !== 'ENOTSUP' && code !== 'ENOSYS') throw error;
  }
}

/**
 * Why the owner of a store can't read a file or write to a folder, by owner, group and mode; undefined without a fault.
 */
export function ownerFault({ uid, gid, mode }: Ownership, owner: Ownership): string | undefined {
  if (owner.uid === 0) return undefined;
  const isFolder = (mode & constants.S_IFMT) === constants.S_IFDIR;
  const needed = isFolder ? 0o7 : 0o4;
  const granted = (uid === owner.uid ? mode >> 6 : gid === owner.gid ? mode >> 3 : mode) & 0o7;
  if ((granted & needed) === needed) return undefined;
  const octal = (mode & 0o777).toString(8).padStart(4, '0');
  return `it belongs to user ${uid}, group ${gid}, mode ${octal}: user ${owner.uid}, the owner of the store, can't ${isFolder ? 'write' : 'read'} it`;
}

/** Makes a folder and its parents; root gives them to the owner of the folder above. @returns the outermost new folder */
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
 * Makes a folder and its parents. Node's `recursive` option reports a lack of inodes as ENOENT.
 * @returns the outermost new folder; undefined if the folder exists
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
    // The error code doesn't show it: some file systems report EROFS or EACCES for an existing folder.
    if ((await stat(path).catch(() => undefined))?.isDirectory()) return undefined;
    throw error;
  }
}
