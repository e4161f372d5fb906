import { CacheError } from '../cache/errors.ts';
import { BLOCK_SIZE, isTarBlock } from './tar-header.ts';

/** What the nodes can unpack (protocol.md, "Which entry a node installs": Python's tarfile). */
export type Compression = 'none' | 'gzip' | 'bzip2' | 'xz';

/** How many bytes of a file's start, or the whole file if it is shorter, `detectCompression` wants. */
export const HEAD_SIZE = BLOCK_SIZE;

type Magic = readonly [name: string, bytes: readonly number[]];

const READABLE: readonly (readonly [name: Compression, bytes: readonly number[]])[] = [
  ['gzip', [0x1f, 0x8b]],
  ['bzip2', [0x42, 0x5a, 0x68]],
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
];

/** Compressions of tars that Python's tarfile doesn't read. */
const UNREADABLE: readonly Magic[] = [
  ['Zstandard', [0x28, 0xb5, 0x2f, 0xfd]],
  ['lz4', [0x04, 0x22, 0x4d, 0x18]],
  ['lz4', [0x02, 0x21, 0x4c, 0x18]],
  ['lzip', [0x4c, 0x5a, 0x49, 0x50]],
  ['lzop', [0x89, 0x4c, 0x5a, 0x4f]],
  ['compress (.Z)', [0x1f, 0x9d]],
];

const FOREIGN: readonly Magic[] = [
  ['zip', [0x50, 0x4b, 0x03, 0x04]],
  ['zip', [0x50, 0x4b, 0x05, 0x06]],
  ['7-Zip', [0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c]],
  ['RAR', [0x52, 0x61, 0x72, 0x21, 0x1a, 0x07]],
];

/**
 * Tells the compression of an archive by the first `HEAD_SIZE` bytes of its file, and never by its name.
 * @throws CacheError `invalid-archive` for what is no archive, `unsupported-archive` for a compression that the
 * nodes don't read
 */
export function detectCompression(head: Uint8Array): Compression {
  if (head.length === 0) throw new CacheError('invalid-archive', 'the file is empty');
  // A tar comes first: its first bytes are a file name, which may look like anything.
  if (isTarBlock(head)) return 'none';
  const readable = find(READABLE, head);
  if (readable !== undefined) return readable;
  const unreadable = find(UNREADABLE, head);
  if (unreadable !== undefined) {
    throw new CacheError(
      'unsupported-archive',
      `compressed with ${unreadable}: the nodes unpack with Python's tarfile, which reads gzip, bzip2 and xz; ` +
        'compress it again with one of these',
    );
  }
  throw new CacheError(
    'invalid-archive',
    `no archive: ${describe(head)}; a tar, plain or as gzip, bzip2 or xz, is expected`,
  );
}

function find<Name extends string>(
  magics: readonly (readonly [Name, readonly number[]])[],
  head: Uint8Array,
): Name | undefined {
  return magics.find(([, bytes]) => bytes.every((byte, index) => head[index] === byte))?.[0];
}

function describe(head: Uint8Array): string {
  const foreign = find(FOREIGN, head);
  if (foreign !== undefined) return `a ${foreign} file`;
  const text = Buffer.from(head.buffer, head.byteOffset, head.length).toString('utf8');
  if (/^\uFEFF?\s*</.test(text)) return 'it starts with "<", so a web page was saved in its place';
  // eslint-disable-next-line no-control-regex -- these are what tells bytes from text
  return /[\0-\x08\x0e-\x1a\uFFFD]/.test(text.slice(0, -3)) ? 'unknown bytes' : 'a text file';
}
