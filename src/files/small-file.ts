import { constants, type Stats } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';

/*
 * Reads files whose paths come from outside: it must neither wait for a pipe or a device, nor load a huge file.
 */

/** Bytes; certificates, keys, configurations and user lists have a few thousand. */
const SMALL = 4 * 1024 * 1024;

/** A file that isn't read. Messages use its `code` like the code of a failed system call. */
export class UnfitFile extends Error {
  readonly code: string;

  constructor(message: string, code = message) {
    super(message);
    this.code = code;
  }
}

/**
 * Opens a regular file for reading, and never waits for a pipe or a device. The caller closes it.
 * @throws UnfitFile; errors of the system
 */
export async function openRegularFile(path: string): Promise<FileHandle> {
  // Without O_NONBLOCK, open waits for the writer of a pipe; without O_NOCTTY, a terminal may become the controlling one.
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
 * @throws UnfitFile when it is no regular file, or too large; errors of the system
 */
export async function readSmallFile(path: string, limit: number = SMALL): Promise<Buffer> {
  const file = await openRegularFile(path);
  try {
    const { size } = await file.stat();
    const pieces: Buffer[] = [];
    let length = 0;
    while (Math.max(size, length) <= limit) {
      // Files of /proc have size 0, and others may grow.
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
