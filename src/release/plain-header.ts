/** A field of a header block: where it starts, and its length, in bytes. */
type Field = readonly [start: number, length: number];

const SIZE: Field = [124, 12];
const CHECKSUM: Field = [148, 8];
const FLAG = 156;
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
/** Further ones that tar's Header reads: atime, ctime. */
const TIMES = [476, 488] as const;
/** A number that begins with a byte of this or more is in base 256: with this one, or if it is negative, with the other. */
const BASE_256 = 0x80;
const BASE_256_NEGATIVE = 0xff;

/** What of a header decides how the walk goes on, beside the names. */
export interface PlainHeader {
  readonly flag: string;
  /** Bytes of content as recorded. */
  readonly size: number;
}

/**
 * Reads a header that nobody can understand in another way: its checksum is right, and its numbers are octal digits
 * alone, as programs write them. Undefined for any other, be it an old one, one of a huge file or a broken one: tar's
 * Header knows them all, but takes five times as long, which was a tenth of an import.
 */
export function readPlainHeader(block: Buffer): PlainHeader | undefined {
  if (TIMES.some((start) => (block[start] ?? 0) >= BASE_256)) return undefined;
  if (NUMBERS.some((field) => readOctal(block, field) === undefined)) return undefined;
  if (readOctal(block, CHECKSUM) !== checksumOf(block)) return undefined;
  return { flag: String.fromCharCode(block[FLAG] ?? 0), size: readOctal(block, SIZE) ?? 0 };
}

/** Octal digits, then NULs or spaces; an empty field is a 0. */
function readOctal(block: Buffer, [start, length]: Field): number | undefined {
  const end = start + length;
  let value = 0;
  let at = start;
  for (; at < end; at++) {
    const digit = (block[at] ?? 0) - 0x30;
    if (digit < 0 || digit > 7) break;
    value = value * 8 + digit;
  }
  for (; at < end; at++) {
    if (block[at] !== 0 && block[at] !== 0x20) return undefined;
  }
  return value;
}

/** The sum of all bytes, those of the checksum itself taken for spaces. */
function checksumOf(block: Buffer): number {
  const [start, length] = CHECKSUM;
  let sum = length * 0x20;
  for (let at = 0; at < start; at++) sum += block[at] ?? 0;
  for (let at = start + length; at < block.length; at++) sum += block[at] ?? 0;
  return sum;
}

/**
 * Whether Python's tarfile takes the block for a header: it reads all its numbers, and the checksum is that of the block.
 * What it doesn't, it takes for the end of the tar without a word, where tar's Header may go on: that one reads more blanks
 * than there are, and looks for the checksum in the type flag, too.
 */
export function isHeaderForPython(block: Buffer): boolean {
  return (
    parseInt(textOf(block, CHECKSUM), 8) === checksumOf(block) &&
    NUMBERS.every((field) => isNumberForPython(block, field))
  );
}

function isNumberForPython(block: Buffer, field: Field): boolean {
  const [start] = field;
  const first = block[start];
  if (first === BASE_256 || first === BASE_256_NEGATIVE) return true;
  return /^[ \t-\r]*([+-]?[0-7]+)?[ \t-\r]*$/.test(textOf(block, field));
}

/** Whether an owner, a mode or a device has more than 32 bits: that is one for no system, and Python fails on it. */
export function hasHugeNumber(block: Buffer): boolean {
  return NUMBERS.some(
    ([start, length]) => length === 8 && block[start] === BASE_256 && block.readUIntBE(start + 1, 3) !== 0,
  );
}

/** Python 2.7 reads none. */
export function hasNegativeNumber(block: Buffer): boolean {
  return NUMBERS.some(([start]) => block[start] === BASE_256_NEGATIVE);
}

function textOf(block: Buffer, [start, length]: Field): string {
  const [text = ''] = block.toString('latin1', start, start + length).split('\0');
  return text;
}
