import { readFile, realpath, statfs } from 'node:fs/promises';
import { CacheError } from '../cache/errors.ts';
import { BLOBS, DIRECTORY, PARTS } from '../cache/layout.ts';
import type { SplitLimits } from './split-storage.ts';
import { storageError } from './storage-error.ts';

/** Limits of a file system. */
export interface FileSystemLimits {
  /** Bytes that the smallest file occupies. */
  readonly blockSize: number;
  /** How blobs are split; undefined if no blob can reach the limit. */
  readonly split: SplitLimits | undefined;
  /** Maximum number of 32-byte directory entries in a folder; undefined if unlimited. */
  readonly folderSlots: number | undefined;
}

const MIB = 1024 * 1024;

/** statfs(2): MSDOS_SUPER_MAGIC, of FAT12, FAT16 and FAT32. exFAT and NTFS have other numbers, and no such limits. */
const FAT = 0x4d44;
/** FUSE_SUPER_MAGIC: a file system in user space, identified by its mount type. */
const FUSE = 0x65735546;
const FUSE_FAT = /^fuse\.(?!.*exfat).*fat/i;

/** FAT32 stores a file's size in 32 bits, and Linux limits a folder to 2 MiB. */
const FAT_LIMITS = { split: { largestFile: 2 ** 32 - 1, partSize: 4095 * MIB }, folderSlots: 65_536 };
const NO_LIMITS = { split: undefined, folderSlots: undefined };

/** @throws CacheError `storage` */
export async function limitsOf(folder: string): Promise<FileSystemLimits> {
  try {
    const { type, bsize } = await statfs(folder);
    const isFat = type === FAT || (type === FUSE && FUSE_FAT.test(await mountedType(folder)));
    return { blockSize: bsize, ...(isFat ? FAT_LIMITS : NO_LIMITS) };
  } catch (error) {
    throw storageError(error, `can't tell the file system of ${folder}`);
  }
}

/** The file system type of a file or folder, as in mountinfo of proc(5); empty if unknown. */
export async function mountedType(file: string): Promise<string> {
  const path = `${await realpath(file)}/`;
  const text = await readFile('/proc/self/mountinfo', 'utf8').catch(() => '');
  let found = { at: '', type: '' };
  for (const line of text.split('\n')) {
    const [before = '', after = ''] = line.split(' - ');
    const [, , , , mountPoint = ''] = before.split(' ');
    const at = mountPoint.replace(/\\(\d{3})/g, (_, code: string) => String.fromCharCode(parseInt(code, 8)));
    // Of two mounts at one place the later one covers the other.
    if (path.startsWith(at === '/' ? at : `${at}/`) && at.length >= found.at.length)
      found = { at, type: after.split(' ')[0] ?? '' };
  }
  return found.type;
}

/**
 * Whether a store with these object names stays within the folder limit.
 * @throws CacheError `too-large`
 */
export function checkFolders({ folderSlots }: FileSystemLimits, names: Iterable<string>): void {
  if (folderSlots === undefined) return;
  const inFolder = new Map<string, Set<string>>();
  for (const name of names) {
    const folder = [BLOBS, DIRECTORY, PARTS].find((prefix) => name.startsWith(prefix)) ?? '';
    const [item = ''] = name.slice(folder.length).split('/');
    inFolder.set(folder, (inFolder.get(folder) ?? new Set()).add(item));
  }
  for (const [folder, items] of inFolder) {
    let slots = 2;
    for (const item of items) slots += slotsOf(item);
    if (slots <= folderSlots) continue;
    throw new CacheError(
      'too-large',
      `FAT can't take ${items.size} names in one folder (${folder}); use a medium with exFAT or ext4, or export fewer releases to each of several`,
    );
  }
}

/** A long name needs a slot per 13 characters, and one more. */
function slotsOf(name: string): number {
  return Math.ceil(name.length / 13) + 1;
}
