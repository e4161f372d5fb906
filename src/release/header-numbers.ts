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

/** The sum of all bytes; those of the checksum itself count as spaces. */
function checksumOf(block: Buffer): number {
  const [start, length] = CHECKSUM;
  let sum = length * 0x20;
  for (let at = 0; at < start; at++) sum += block[at] ?? 0;
  for (let at = start + length; at < block.length; at++) sum += block[at] ?? 0;
  return sum;
}

/**
 * Whether Python's tarfile takes the block for a header: it can read all numbers, and the checksum is right. It silently
 * takes any other block for the end of the tar, where tar's Header may go on.
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

function textOf(block: Buffer, [start, length]: Field): string {
  const [text = ''] = block.toString('latin1', start, start + length).split('\0');
  return text;
}
