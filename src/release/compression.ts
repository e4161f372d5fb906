import { CacheError } from '../cache/errors.ts';
import { BLOCK_SIZE, isTarBlock } from './tar-header.ts';

/** What the nodes can unpack (protocol.md, "Which entry a node installs": Python's tarfile). */
export type Compression = 'none' | 'gzip' | 'bzip2' | 'xz';

/** Bytes of a file's start that `detectCompression` needs, or the whole file if it is shorter. */
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

/** Zstandard data may begin with a frame to skip. The low four bits of its first byte are arbitrary. */
const SKIPPABLE_FRAME: Magic = ['Zstandard', [0x50, 0x2a, 0x4d, 0x18]];
const LZMA_PROPERTIES_LIMIT = 9 * 5 * 5;
/** Bytes; liblzma refuses old LZMA data that claims to be larger. */
const LZMA_SIZE_LIMIT = 2 ** 38;

const FOREIGN: readonly Magic[] = [
  ['zip', [0x50, 0x4b, 0x03, 0x04]],
  ['zip', [0x50, 0x4b, 0x05, 0x06]],
  ['7-Zip', [0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c]],
  ['RAR', [0x52, 0x61, 0x72, 0x21, 0x1a, 0x07]],
];

/**
 * Detects the compression of an archive from the first `HEAD_SIZE` bytes of its file, never from its name.
 * @throws CacheError `invalid-archive` if it is no archive, `unsupported-archive` for a compression that nodes can't read
 */
export function detectCompression(head: Uint8Array): Compression {
  if (head.length === 0) throw new CacheError('invalid-archive', 'the file is empty');
  const readable = find(READABLE, head);
  // A tar begins with a file name, which may look like any magic.
  if (isTarBlock(head)) {
    const other = readable ?? compressionForPython(head);
    if (other === undefined) return 'none';
    throw new CacheError(
      'invalid-archive',
      `a tar and ${other} data in one: programs disagree about what is in it; pack it again`,
    );
  }
  if (readable !== undefined) return readable;
  const unreadable = find(UNREADABLE, head);
  if (unreadable !== undefined) {
    throw new CacheError(
      'unsupported-archive',
      `compressed with ${unreadable}: nodes unpack with Python's tarfile, which reads gzip, bzip2 and xz; compress it again with one of these`,
    );
  }
  throw new CacheError(
    'invalid-archive',
    `not an archive: ${describe(head)}; expected a tar, plain or compressed with gzip, bzip2 or xz`,
  );
}

function find<Name extends string>(
  magics: readonly (readonly [Name, readonly number[]])[],
  head: Uint8Array,
): Name | undefined {
  return magics.find(([, bytes]) => bytes.every((byte, index) => head[index] === byte))?.[0];
}

/** The compression that Python's tarfile sees in a tar: it tries compressions first, and some have no magic. */
function compressionForPython(head: Uint8Array): string | undefined {
  const unreadable = find(UNREADABLE, head);
  if (unreadable !== undefined) return unreadable;
  const frame = Uint8Array.from(head.subarray(0, SKIPPABLE_FRAME[1].length));
  frame[0] = (frame[0] ?? 0) & 0xf0;
  return find([SKIPPABLE_FRAME], frame) ?? (isOldLzma(head) ? 'LZMA' : undefined);
}

/** Checks as liblzma does before it decompresses: properties, size of the dictionary, size of the content. */
function isOldLzma(head: Uint8Array): boolean {
  const bytes = Buffer.from(head.buffer, head.byteOffset, head.length);
  if (bytes.length < 13 || bytes.readUInt8(0) >= LZMA_PROPERTIES_LIMIT) return false;
  const dictionary = bytes.readUInt32LE(1);
  // A power of two, or one and a half.
  const isUsual = dictionary === 2 ** 32 - 1 || /^1?10*$/.test(dictionary.toString(2));
  const size = bytes.readBigUInt64LE(5);
  return isUsual && (size === 2n ** 64n - 1n || (size > 0n && size < BigInt(LZMA_SIZE_LIMIT)));
}

function describe(head: Uint8Array): string {
  const foreign = find(FOREIGN, head);
  if (foreign !== undefined) return `a ${foreign} file`;
  const text = Buffer.from(head.buffer, head.byteOffset, head.length).toString('utf8');
  if (/^\uFEFF?\s*</.test(text)) return 'it starts with "<", so a web page was saved instead of it';
  // eslint-disable-next-line no-control-regex -- control characters mark binary data
  return /[\0-\x08\x0e-\x1a\uFFFD]/.test(text.slice(0, -3)) ? 'unknown bytes' : 'a text file';
}
