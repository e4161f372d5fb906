import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeSoftwareRelease, packRelease } from '../fixtures/software-release.ts';
import { faultOf, inspect } from './inspection.ts';

const URL = 'https://lab.example.com/slapos/raw/1.0.344/software/rapid-cdn/software.cfg';

let root: string;
let tiny: string;
let small: string;

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'corrupt-'));
  tiny = join(root, 'tiny');
  mkdirSync(tiny);
  writeFileSync(join(tiny, 'buildout.cfg'), `[buildout]\nextends = ${URL}\n`);
  small = await makeSoftwareRelease(root, URL, { payload: 200_000 });
});

afterAll(() => {
  rmSync(root, { recursive: true });
});

async function packed(folder: string, compression: 'none' | 'gzip' | 'bzip2' | 'xz'): Promise<Buffer> {
  const file = join(root, `archive-${compression}`);
  await packRelease(folder, file, { compression });
  return readFile(file);
}

function flip(archive: Buffer, byte: number, bit: number): Buffer {
  const flipped = Buffer.from(archive);
  flipped.writeUInt8(flipped.readUInt8(byte) ^ (1 << bit), byte);
  return flipped;
}

/**
 * Flips bits one by one; each must be refused, but for those that mean nothing (the time in a gzip header, the
 * bits that fill up the last byte), with which `program` still reads the very same tar.
 * @returns how many were refused
 */
async function flipBits(
  archive: Buffer,
  program: string,
  places: Iterable<readonly [number, number]>,
): Promise<number> {
  const tar = execFileSync(program, ['-dc'], { input: archive });
  let refused = 0;
  for (const [byte, bit] of places) {
    const flipped = flip(archive, byte, bit);
    const fault = await inspect(flipped).then(
      () => undefined,
      (error: unknown) => error,
    );
    if (fault === undefined) {
      const same = execFileSync(program, ['-dc'], { input: flipped, stdio: 'pipe' }).equals(tar);

      expect(same, `bit ${bit} of byte ${byte}`).toBe(true);
    } else {
      expect(fault).toMatchObject({ code: expect.stringMatching(/^(in|un)/) as unknown });
      expect(fault).toMatchObject({
        message: expect.stringMatching(
          /corrupt: its|cut off: its|garbage follows the end of its|not an archive/,
        ) as unknown,
      });
      refused += 1;
    }
  }
  return refused;
}

function* everyBit(length: number): Generator<readonly [number, number]> {
  for (let byte = 0; byte < length; byte++) for (let bit = 0; bit < 8; bit++) yield [byte, bit];
}

function* oneBitOfEach(length: number, step: number): Generator<readonly [number, number]> {
  for (let byte = 0; byte < length; byte += step) yield [byte, (byte * 5) % 8];
}

describe('one flipped bit', () => {
  it('is refused anywhere in a gzip archive', async () => {
    const archive = await packed(tiny, 'gzip');
    // 6 bytes of the header, its text flag, and less than a byte of padding mean nothing; some distances of
    // repeated text lead to the same text.
    expect(await flipBits(archive, 'gzip', everyBit(archive.length))).toBeGreaterThanOrEqual(
      archive.length * 8 - 80,
    );
  });

  it.each(['bzip2', 'xz'] as const)('is refused anywhere in a %s archive', async (program) => {
    const archive = await packed(tiny, program);
    // In bzip2 the block size, the last byte's padding and, now and then, lengths of codes that no byte uses mean
    // nothing: up to 7 places, seen over 400 archives of this kind, whose bytes differ by their times and owners.
    expect(await flipBits(archive, program, oneBitOfEach(archive.length, 1))).toBeGreaterThanOrEqual(
      Math.floor(archive.length * 0.9),
    );
  });

  it.each(['gzip', 'bzip2', 'xz'] as const)(
    'is refused in the data of a larger %s archive, as damage',
    async (program) => {
      const archive = await packed(small, program);
      const places = [...oneBitOfEach(archive.length, Math.ceil(archive.length / 150))].slice(1);
      // Repeated text may lie at two distances, either of which leads to the same tar.
      expect(await flipBits(archive, program, places)).toBeGreaterThanOrEqual(places.length - 4);
      const middle = Math.floor(archive.length / 2);
      const fault = await faultOf(flip(archive, middle, 3));
      expect(fault.message).toMatch(
        new RegExp(`^corrupt: its ${program} data is damaged.* \\(.+\\); copy it again$`),
      );
    },
  );

  it('is refused anywhere in the header of a tar', async () => {
    const archive = await packed(tiny, 'none');
    for (const header of [0, 512]) {
      for (let byte = 0; byte < 512; byte++) {
        // The checksum's leading zero may as well be a space, and what ends its field counts for nothing.
        if (byte === 148 || byte === 154 || byte === 155) continue;
        const fault = await faultOf(flip(archive, header + byte, byte % 8));
        expect(fault.code).toBe('invalid-archive');
        expect(fault.message).toMatch(
          header === 0
            ? /^(corrupt: no valid tar header at byte 0 |not an archive)/
            : /^corrupt: no valid tar header at byte 512 /,
        );
      }
    }
  });
});
