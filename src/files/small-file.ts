import { constants, type Stats } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';

/*
 * Files that people, other machines and media name: a pipe or a device in the place of one must not be waited for, and a
 * huge one not be held in memory.
 */

/** Bytes; certificates, keys, configurations and lists of users have a few thousand. */
const SMALL = 4 * 1024 * 1024;

/** A file that isn't read. Its `code` stands in messages where that of a failed system call would. */
export class UnfitFile extends Error {
  readonly code: string;

  /** @param what is wrong with it */
  constructor(what: string, code = what) {
    super(what);
    this.code = code;
  }
}

/**
 * Opens a regular file to be read; waits for nothing else that may stand there. To be closed by the caller.
 * @throws UnfitFile; errors of the system
 */
export async function openRegularFile(path: string): Promise<FileHandle> {
  // Without O_NONBLOCK opening a pipe waits for a writer; a terminal must not become that of this process.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  try {
    checkKind(await file.stat());
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

function checkKind(stats: Stats): void {
  if (stats.isDirectory()) throw new UnfitFile('a folder, not a file', 'EISDIR');
  if (!stats.isFile()) throw new UnfitFile('not a regular file');
}

/**
 * All bytes of a small file.
 * @param limit largest size in bytes
 * @throws UnfitFile: no regular file, or larger; errors of the system
 */
export async function readSmallFile(path: string, limit: number = SMALL): Promise<Buffer> {
  const file = await openRegularFile(path);
  try {
    const { size } = await file.stat();
    const pieces: Buffer[] = [];
    let length = 0;
    while (Math.max(size, length) <= limit) {
      // Files of /proc tell no size, and others may grow.
      const piece = Buffer.allocUnsafe(Math.max(size - length, 0) + 4096);
      const { bytesRead } = await file.read(piece, 0, piece.length);
      if (bytesRead === 0) return Buffer.concat(pieces);
      pieces.push(piece.subarray(0, bytesRead));
      length += bytesRead;
    }
    throw new UnfitFile(`larger than ${limit} bytes`);
  } finally {
    await file.close();
  }
}
