import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { createArchiveInspector } from '../../src/release/archive-inspection.ts';
import { createGzipDecompressor } from '../../src/release/gunzip.ts';
import { incompressible } from '../fixtures/software-release.ts';
import { craftTar, FOLDER, GOOD } from './crafted-tar.ts';
import { expectRefused, inspect } from './inspection.ts';

const TAR = craftTar([
  ...GOOD,
  { name: `${FOLDER}/payload`, text: incompressible(400_000).toString('base64') },
]);

function compress(program: string): Buffer {
  return execFileSync(program, ['-c'], { input: TAR, maxBuffer: 1e8 });
}

function children(): number {
  return process.getActiveResourcesInfo().filter((resource) => resource === 'ProcessWrap').length;
}

async function expectNoChildren(): Promise<void> {
  await vi.waitFor(() => {
    expect(children()).toBe(0);
  }, 15_000);
}

describe.each(['bzip2', 'xz'])('the child process %s', (program) => {
  afterEach(expectNoChildren);

  const archive = compress(program);

  it('runs while bytes come, and is gone with the result', async () => {
    const inspector = createArchiveInspector(TAR.length);
    await inspector.write(archive.subarray(0, 2000));
    expect(children()).toBe(1);
    await inspector.write(archive.subarray(2000));
    expect((await inspector.end()).members).toBe(3);
  });

  it('is gone after abort(), also in the middle of a write', async () => {
    const inspector = createArchiveInspector(TAR.length);
    await inspector.write(archive.subarray(0, 2000));
    const pending = inspector.write(archive.subarray(2000));
    inspector.abort();
    await expect(pending).rejects.toMatchObject({ code: 'incomplete' });
    inspector.abort();
    await expect(inspector.write(archive)).rejects.toMatchObject({ code: 'incomplete' });
    await expect(inspector.end()).rejects.toMatchObject({ code: 'incomplete' });
  });

  it('is gone when it stops reading, and every further call says why', async () => {
    const damaged = Buffer.from(archive);
    damaged.fill(0x55, 1000, 1100);
    const inspector = createArchiveInspector(TAR.length);
    const feed = async (): Promise<void> => {
      // Far more than the pipe holds, so that a write meets the closed pipe.
      for (let round = 0; round < 200; round++) await inspector.write(damaged);
      await inspector.end();
    };
    const expected = { code: 'invalid-archive', message: expect.stringContaining('corrupt: its') as unknown };
    await expect(feed()).rejects.toMatchObject(expected);
    await expect(inspector.write(damaged)).rejects.toMatchObject(expected);
    await expect(inspector.end()).rejects.toMatchObject(expected);
    inspector.abort();
  });

  it('is missed with the name of its package', async () => {
    const path = process.env['PATH'];
    const empty = mkdtempSync(join(tmpdir(), 'no-programs-'));
    try {
      process.env['PATH'] = empty;
      const expected = `the program "${program}" is not installed; run: apt install ${program === 'xz' ? 'xz-utils' : 'bzip2'}`;
      await expectRefused(
        archive,
        'unsupported-archive',
        new RegExp(`compressed with ${program}, but ${expected}`),
      );
    } finally {
      process.env['PATH'] = path;
      rmSync(empty, { recursive: true });
    }
  });

  it('heeds no settings of the environment', async () => {
    vi.stubEnv('XZ_OPT', '--no-such-option');
    vi.stubEnv('BZIP2', '-q');
    try {
      expect((await inspect(archive)).members).toBe(3);
      await expectRefused(Buffer.concat([archive, Buffer.alloc(512, 'x')]), 'invalid-archive', /follows/);
    } finally {
      vi.unstubAllEnvs();
    }
  });
});

describe('gzip', () => {
  it('has handed on everything when write() resolves, however much it was', async () => {
    let size = 0;
    const decompressor = createGzipDecompressor((bytes) => {
      size += bytes.length;
    });
    const archive = gzipSync(Buffer.alloc(64 * 1024 * 1024));
    await decompressor.write(archive.subarray(0, -100));
    expect(size).toBeGreaterThan(63 * 1024 * 1024);
    await decompressor.write(archive.subarray(-100));
    await decompressor.end();
    expect(size).toBe(64 * 1024 * 1024);
  });

  it('rejects what is pending when it is aborted', async () => {
    const inspector = createArchiveInspector(TAR.length);
    const pending = inspector.write(compress('gzip'));
    inspector.abort();
    inspector.abort();
    await expect(pending).rejects.toMatchObject({ code: 'incomplete' });
    await expect(inspector.end()).rejects.toMatchObject({ code: 'incomplete' });
  });
});

it('can be aborted before the first byte, and after the result', async () => {
  createArchiveInspector(TAR.length).abort();
  const inspector = createArchiveInspector(TAR.length);
  await inspector.write(TAR);
  await inspector.end();
  inspector.abort();
  inspector.abort();
});
