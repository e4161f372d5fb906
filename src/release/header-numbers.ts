/** A field of a header block: where it starts, and its length, in bytes. */
type Field = readonly [start: number, length: number];

const SIZE: Field = [124, 12];
const CHECKSUM: Field = [148, 8];
/** All numbers that Python's tarfile reads: mode, uid, gid, size, mtime, checksum, devmajor, devminor. */
const NUMBERS: readonly Field[] = [
  [100, 8],
  [108, 8],
  [116, 8],
  SIZE,
  [136, 12],
  CHECKSUM,
  [329, 8],
  [337, 8],
];
/** The first byte of a number in base 256. */
const BASE_256 = 0x80;
const BASE_256_NEGATIVE = 0xff;

/**
 * Whether Python's tarfile takes the block for a header: it can read all numbers, and the checksum is right. It silently
 * takes any other block for the end of the tar.
 */
export function isHeader(block: Buffer): boolean {
  return (
    readNumber(block, CHECKSUM) === checksumOf(block) &&
    NUMBERS.every((field) => readNumber(block, field) !== undefined)
  );
}

/** The recorded bytes of content; undefined for a negative number, or one that is larger than any file. */
export function readSize(block: Buffer): number | undefined {
  const size = readNumber(block, SIZE) ?? -1;
  return size >= 0 && Number.isSafeInteger(size) ? size : undefined;
}

/** Whether an owner, a mode or a device has more than 32 bits: no system has such a number, and Python fails on it. */
export function hasHugeNumber(block: Buffer): boolean {
  return NUMBERS.some(
    ([start, length]) => length === 8 && block[start] === BASE_256 && block.readUIntBE(start + 1, 3) !== 0,
  );
}

/** Whether a number is negative in base 256, which Python 2.7 can't read. */
export function hasNegativeNumber(block: Buffer): boolean {
  return NUMBERS.some(([start]) => block[start] === BASE_256_NEGATIVE);
}

/** Octal digits up to a NUL, with blanks around them, or base 256; an empty field is a 0. Undefined for anything else. */
function readNumber(block: Buffer, [start, length]: Field): number | undefined {
  const end = start + length;
  const first = block[start];
  if (first === BASE_256 || first === BASE_256_NEGATIVE) return readBase256(block, start, end);
  let at = skipBlanks(block, start, end);
  const sign = block[at];
  if (sign === PLUS || sign === MINUS) at++;
  let value = 0;
  const digits = at;
  for (; at < end; at++) {
    const digit = (block[at] ?? 0) - ZERO;
    if (digit < 0 || digit > 7) break;
    value = value * 8 + digit;
  }
  const isSignAlone = at === digits && (sign === PLUS || sign === MINUS);
  at = skipBlanks(block, at, end);
  if (isSignAlone || (at < end && block[at] !== 0)) return undefined;
  return sign === MINUS ? -value : value;
}

const ZERO = 0x30;
const PLUS = 0x2b;
const MINUS = 0x2d;

function skipBlanks(block: Buffer, start: number, end: number): number {
  let at = start;
  for (; at < end; at++) {
    const byte = block[at] ?? 0;
    if (byte !== 0x20 && (byte < 0x09 || byte > 0x0d)) break;
  }
  return at;
}

function readBase256(block: Buffer, start: number, end: number): number {
  let value = block[start] === BASE_256_NEGATIVE ? -1 : 0;
  for (let at = start + 1; at < end; at++) value = value * 256 + (block[at] ?? 0);
  return value;
}

/** The sum of all bytes; those of the checksum itself count as spaces. */
function checksumOf(block: Buffer): number {
  const [start, length] = CHECKSUM;
  let sum = length * 0x20;
  for (let at = 0; at < start; at++) sum += block[at] ?? 0;
  for (let at = start + length; at < block.length; at++) sum += block[at] ?? 0;
  return sum;
}
