import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { CacheError } from '../../src/cache/errors.ts';
import { isHeader } from '../../src/release/header-numbers.ts';
import { parseTarHeader } from '../../src/release/tar-header.ts';
import { rawHeader } from './raw-tar.ts';

/** Where the numbers of a header begin, and beside them. */
const POSITIONS = [100, 107, 108, 116, 124, 130, 135, 136, 156, 257, 329, 337, 345, 476, 488, 511];
const BYTES = [...Buffer.from('\0 01789-+ax'), 0x80, 0xff];
/** How programs write a checksum, and how they don't. */
const CHECKSUMS = [
  (sum: number) => `${sum.toString(8).padStart(6, '0')}\0 `,
  (sum: number) => `${sum.toString(8).padStart(7, '0')}\0`,
  (sum: number) => ` ${sum.toString(8)} \0`,
  (sum: number) => `${sum.toString(8)}\0 x`,
  (sum: number) => `${(sum + 1).toString(8)}\0`,
];

/** A header with some bytes changed and, mostly, a checksum that fits them. */
const block = fc
  .record({
    size: fc.nat(2 ** 33 - 1),
    type: fc.constantFrom('0', '5', '1', '2', 'x'),
    changes: fc.array(fc.tuple(fc.constantFrom(...POSITIONS), fc.constantFrom(...BYTES)), { maxLength: 3 }),
    checksum: fc.constantFrom(...CHECKSUMS),
  })
  .map(({ size, type, changes, checksum }) => {
    const bytes = rawHeader({ name: 'folder/file', size, type, mode: '0000644\0' });
    for (const [position, byte] of changes) bytes[position] = byte;
    bytes.fill(' ', 148, 156);
    bytes.write(checksum(bytes.reduce((sum, byte) => sum + byte)), 148, 8, 'latin1');
    return bytes;
  });

const blocks = fc.sample(block, 5000);

/** Undefined for a block that is refused, and for a folder, whose size doesn't count. */
function sizeOf(bytes: Buffer): number | undefined {
  try {
    const { kind, size } = parseTarHeader(bytes, 0, {});
    return kind === 'directory' ? undefined : size;
  } catch (error) {
    expect(error).toBeInstanceOf(CacheError);
    return undefined;
  }
}

const SIZES = `
import json, sys, tarfile
for line in sys.stdin:
    try:
        size = tarfile.TarInfo.frombuf(bytes.fromhex(line), 'utf-8', 'surrogateescape').size
    except tarfile.HeaderError as error:
        size = str(error)
    print(json.dumps(size))
`;

it('takes for a header what Python does, with the same size', () => {
  const input = blocks.map((bytes) => bytes.toString('hex')).join('\n');
  const output = execFileSync('python3', ['-c', SIZES], { input, encoding: 'utf8', maxBuffer: 1e8 });
  const sizes = output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as number | string);
  expect(sizes).toHaveLength(blocks.length);
  let read = 0;
  for (const [index, size] of sizes.entries()) {
    const bytes = blocks[index] ?? Buffer.alloc(0);
    expect(isHeader(bytes)).toBe(typeof size === 'number');
    const parsed = sizeOf(bytes);
    if (parsed === undefined) continue;
    read++;
    expect(parsed).toBe(size);
  }
  expect(read).toBeGreaterThan(blocks.length / 10);
  expect(sizes.filter((size) => size === 'invalid header').length).toBeGreaterThan(100);
});
