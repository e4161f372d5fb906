import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { FIRST_PREVIOUS } from '../cache/custody.ts';
import { parseCustodyRecord } from '../cache/custody-chain.ts';
import { digestOf, type Digest } from '../cache/digest.ts';
import { CacheError } from '../cache/errors.ts';
import { storageError, throwUnlessAbsent } from './storage-error.ts';
import { checkIsStillThere } from './store-folder.ts';

/** More bytes without a newline were not written by this program: even a spoiled batch of lines is shorter. */
const LINE_LIMIT = 8 * 1024 * 1024;
const PIECE_SIZE = 64 * 1024;
const NEWLINE = 0x0a;
/** For opening the log: a link or a pipe that somebody left in its place is refused. */
export const NO_FOLLOWING = constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** What the next line has to continue. */
export interface LogEnd {
  readonly previous: Digest;
  /** Bytes of the last line, where it is not whole. */
  readonly cutOff?: number;
  /** Whether the last line has its newline. */
  readonly isEnded: boolean;
}

/** Reads the last line, from the end of the file. @throws CacheError `storage` */
export async function readEnd(file: FileHandle, path: string): Promise<LogEnd> {
  const stats = await file.stat();
  if (!stats.isFile()) throw new CacheError('storage', `${path} is not a file; move it out of the store`);
  let end = Buffer.alloc(0);
  for (let position = stats.size; position > 0;) {
    const size = Math.min(Math.max(PIECE_SIZE, end.length), position);
    position -= size;
    const piece = Buffer.alloc(size);
    const { bytesRead } = await file.read(piece, 0, size, position);
    if (bytesRead < size) throw new CacheError('storage', `${path} was cut while it was read`);
    end = Buffer.concat([piece, end]);
    // The last byte may be the newline of the line itself.
    const start = end.lastIndexOf(NEWLINE, -2);
    if (start !== -1 || position === 0) return endOf(end.subarray(start + 1));
    if (end.length > LINE_LIMIT) throw tooLong(path, 'its last line');
  }
  return { previous: FIRST_PREVIOUS, isEnded: true };
}

function endOf(bytes: Buffer): LogEnd {
  const isEnded = bytes.at(-1) === NEWLINE;
  const line = isEnded ? bytes.subarray(0, -1) : bytes;
  // Who put a newline after a part of a line may have been interrupted just after it.
  const isWhole = isEnded && parseCustodyRecord(line.toString('utf8')) !== undefined;
  return { previous: digestOf(line), isEnded, ...(isWhole ? {} : { cutOff: line.length }) };
}

/** All lines, each with its newline; none where there is no log. @throws CacheError `storage` */
export async function* readLines(root: string, path: string): AsyncGenerator<Uint8Array> {
  let file: FileHandle;
  try {
    file = await open(path, constants.O_RDONLY | NO_FOLLOWING);
  } catch (error) {
    throwUnlessAbsent(error, `can't read ${path}`);
    await checkIsStillThere(root);
    return;
  }
  try {
    let begun: Buffer[] = [];
    for (let number = 1; ;) {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(PIECE_SIZE), 0, PIECE_SIZE);
      if (bytesRead === 0) break;
      let rest = buffer.subarray(0, bytesRead);
      for (let end = rest.indexOf(NEWLINE); end !== -1; end = rest.indexOf(NEWLINE)) {
        yield Buffer.concat([...begun, rest.subarray(0, end + 1)]);
        begun = [];
        rest = rest.subarray(end + 1);
        number++;
      }
      begun.push(rest);
      if (begun.length * PIECE_SIZE > LINE_LIMIT) throw tooLong(path, `line ${number}`);
    }
    const last = Buffer.concat(begun);
    if (last.length > 0) yield last;
  } catch (error) {
    throw storageError(error, `can't read ${path}`);
  } finally {
    await file.close();
  }
}

function tooLong(path: string, which: string): CacheError {
  return new CacheError(
    'storage',
    `${path} is damaged: ${which} has more than ${LINE_LIMIT} bytes; move it away and keep it, a new one is begun`,
  );
}
