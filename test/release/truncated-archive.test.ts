import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makeSoftwareRelease, packRelease } from '../fixtures/software-release.ts';
import { faultOf, inspect } from './inspection.ts';
import { isHeavy } from '../fixtures/heavy.ts';

const URL = 'https://lab.example.com/slapos/raw/1.0.344/software/rapid-cdn/software.cfg';
const COMPRESSED = ['gzip', 'bzip2', 'xz'] as const;

let root: string;
let tiny: string;
let small: string;

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'truncated-'));
  tiny = join(root, 'tiny');
  mkdirSync(tiny);
  writeFileSync(join(tiny, 'buildout.cfg'), `[buildout]\nextends = ${URL}\n`);
  small = await makeSoftwareRelease(root, URL, { payload: 200_000 });
});

afterAll(() => {
  rmSync(root, { recursive: true });
});

async function packed(folder: string, compression: 'none' | (typeof COMPRESSED)[number]): Promise<Buffer> {
  const file = join(root, `archive-${compression}`);
  await packRelease(folder, file, { compression });
  return readFile(file);
}

describe.each(COMPRESSED)('%s', (compression) => {
  it('refuses an archive cut off at any offset', async () => {
    const archive = await packed(tiny, compression);
    expect((await inspect(archive)).members).toBe(2);
    for (let length = 0; length < archive.length; length++) {
      const fault = await faultOf(archive.subarray(0, length));
      expect(fault.code).toBe('invalid-archive');
      if (length === 0) expect(fault.message).toBe('the file is empty');
      // The magic bytes of xz are 6, the longest.
      else if (length >= 6)
        expect(fault.message).toBe(`cut off: its ${compression} data ends too early; copy it again`);
      else expect(fault.message).toMatch(/^(cut off|not an archive)/);
    }
  });

  it('refuses a larger archive cut off at many offsets', async () => {
    const offsets = isHeavy ? 200 : 40;
    const archive = await packed(small, compression);
    const step = archive.length / offsets;
    for (let cut = 0; cut < offsets; cut++) {
      const fault = await faultOf(archive.subarray(0, Math.floor(10 + cut * step * 0.999)));
      expect(fault.message).toBe(`cut off: its ${compression} data ends too early; copy it again`);
    }
  });
});

describe('a plain tar', () => {
  it('refuses an archive cut off at any offset before its end', async () => {
    const archive = await packed(tiny, 'none');
    const expected = (length: number): RegExp => {
      // Too short to tell that it is one: the word "ustar" of the first header ends at 262.
      if (length < 262) return /^not an archive: /;
      if (length % 512 !== 0 && length < 1024) return /^cut-off tar: it ends inside a header; copy/;
      if (length >= 1024 && length < 1536) return /^cut-off tar: it ends inside "tiny\/buildout.cfg"; copy/;
      // Zeros of the end are counted byte by byte once the first block of them is whole.
      if (length > 1536 && length < 2048) return /^cut-off tar: it ends inside a header; copy/;
      return /^cut-off tar: the blocks of zeros at its end are missing; copy/;
    };
    // A header for the folder, a header and a block for the file, two blocks of zeros; what follows is padding.
    const needed = 5 * 512;
    for (let length = 1; length < needed; length++) {
      const fault = await faultOf(archive.subarray(0, length));
      expect(fault.message, `cut off at ${length}`).toMatch(expected(length));
      expect(fault.code).toBe('invalid-archive');
    }
    expect((await inspect(archive.subarray(0, needed))).members).toBe(2);
  });

  it('refuses an archive cut off exactly between two members, compressed or not', async () => {
    const archive = await packed(small, 'none');
    let boundaries = 0;
    for (let offset = 512; offset < archive.length - 1024; offset += 512) {
      if (archive.toString('latin1', offset + 257, offset + 262) !== 'ustar') continue;
      boundaries += 1;
      const fault = await faultOf(archive.subarray(0, offset));
      expect(fault.message).toBe(
        'cut-off tar: the blocks of zeros at its end are missing; copy or pack it again',
      );
    }
    expect(boundaries).toBeGreaterThan(30);
  });
});
