import { CacheError } from '../../src/cache/errors.ts';
import { parseTarHeader } from '../../src/release/tar-header.ts';
import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { Header } from 'tar/header';
import { expect, it } from 'vitest';
import { isHeaderForPython } from '../../src/release/header-numbers.ts';

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

/** A header as tar's own code writes it, with some bytes changed and, mostly, a checksum that fits them. */
const block = fc
  .record({
    size: fc.nat(2 ** 33),
    type: fc.constantFrom(
      'File',
      'Directory',
      'Link',
      'SymbolicLink',
      'ExtendedHeader',
    ) as fc.Arbitrary<'File'>,
    changes: fc.array(fc.tuple(fc.constantFrom(...POSITIONS), fc.constantFrom(...BYTES)), { maxLength: 3 }),
    checksum: fc.constantFrom(...CHECKSUMS),
  })
  .map(({ size, type, changes, checksum }) => {
    const bytes = Buffer.alloc(512);
    const mtime = new Date(1.7e12);
    new Header({ path: 'folder/file', mode: 0o644, uid: 0, gid: 0, size, mtime, type }).encode(bytes);
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
  for (const [index, size] of sizes.entries()) {
    const bytes = blocks[index] ?? Buffer.alloc(0);
    const parsed = sizeOf(bytes);
    // Python reads -0 of "-" and zeros.
    if (parsed !== undefined) expect(parsed).toBe(Number(size) + 0);
    // A number that Python can't read; a wrong checksum is none of its business.
    if (size === 'invalid header') expect(isHeaderForPython(bytes)).toBe(false);
    if (typeof size === 'number') expect(isHeaderForPython(bytes)).toBe(true);
  }
  expect(sizes.filter((size) => size === 'invalid header').length).toBeGreaterThan(100);
});
