import { execFileSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { gunzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { createGzipDecompressor } from '../../src/release/gunzip.ts';
import { gzipMembers } from '../../src/release/gzip-members.ts';
import { incompressible } from '../fixtures/software-release.ts';

const MEBIBYTE = 1024 * 1024;
/** Some that compress and some that don't; more than two members. */
const BYTES = Buffer.concat([Buffer.alloc(3 * MEBIBYTE, 'a line\n'), incompressible(2 * MEBIBYTE)]);

async function* inPieces(bytes: Buffer, size: number): AsyncGenerator<Uint8Array> {
  // The same buffer each time: whoever keeps a piece has the wrong bytes.
  const piece = Buffer.alloc(size);
  for (let start = 0; start < bytes.length; start += size) {
    const length = bytes.copy(piece, 0, start, start + size);
    yield piece.subarray(0, length);
    await Promise.resolve();
  }
}

async function compress(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of gzipMembers(source)) pieces.push(piece);
  return Buffer.concat(pieces);
}

const PYTHON = 'import gzip, sys; sys.stdout.buffer.write(gzip.open(sys.stdin.buffer).read())';

describe('gzipMembers', () => {
  it.each([
    ['gzip', ['-dc']],
    ['python3', ['-c', PYTHON]],
  ])('makes what %s reads as one file', async (program, args) => {
    const input = await compress(inPieces(BYTES, 100_000));
    expect(input.length).toBeLessThan(BYTES.length / 2);
    const output = execFileSync(program, args, { input, maxBuffer: 2 * BYTES.length });
    expect(output.equals(BYTES)).toBe(true);
  });

  it('makes what an import reads', async () => {
    const found: Uint8Array[] = [];
    const gunzip = createGzipDecompressor((bytes) => found.push(Uint8Array.from(bytes)));
    await gunzip.write(await compress(inPieces(BYTES, 100_000)));
    await gunzip.end();
    expect(Buffer.concat(found).equals(BYTES)).toBe(true);
  });

  it('makes several members of it, the same ones however the bytes come in pieces', async () => {
    const whole = await compress(inPieces(BYTES, BYTES.length));
    expect((await compress(inPieces(BYTES, 65_521))).equals(whole)).toBe(true);
    expect((await compress(inPieces(BYTES, 3 * MEBIBYTE))).equals(whole)).toBe(true);
    let members = 0;
    for (let at = 0; at !== -1; at = whole.indexOf('1f8b0800000000000003', at + 1, 'hex')) members++;
    expect(members).toBeGreaterThan(2);
  });

  it.each([0, 1, 2 * MEBIBYTE - 1, 2 * MEBIBYTE, 2 * MEBIBYTE + 1])('keeps %d bytes whole', async (size) => {
    const bytes = BYTES.subarray(0, size);
    expect(gunzipSync(await compress(inPieces(bytes, MEBIBYTE))).equals(bytes)).toBe(true);
  });

  it('fails as its source fails', async () => {
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield* inPieces(BYTES, MEBIBYTE);
      throw new Error('the disk is gone');
    }
    await expect(compress(failing())).rejects.toThrow('the disk is gone');
  });

  it('ends its source when nobody wants the rest', async () => {
    let ended = false;
    async function* endless(): AsyncGenerator<Uint8Array> {
      try {
        for (;;) yield* inPieces(BYTES, MEBIBYTE);
      } finally {
        ended = true;
      }
    }
    for await (const piece of gzipMembers(endless())) {
      expect(piece.length).toBeGreaterThan(0);
      break;
    }
    expect(ended).toBe(true);
  });

  it('compresses about as well as gzip', async () => {
    const program = await readFile(fileURLToPath(import.meta.resolve('typescript')));
    const rival = execFileSync('gzip', ['-c'], { input: program, maxBuffer: program.length });
    expect((await compress(inPieces(program, MEBIBYTE))).length).toBeLessThan(rival.length * 1.03);
  });
});
