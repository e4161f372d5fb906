import { execFileSync } from 'node:child_process';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createInspectionThreads, type InspectionThreads } from '../../src/release/inspection-threads.ts';
import { craftTar, FOLDER, GOOD } from './crafted-tar.ts';
import { inspect } from './inspection.ts';

const TAR = craftTar([...GOOD, { name: `${FOLDER}/payload`, text: 'x'.repeat(3_000_000) }]);
const BZIP2 = execFileSync('bzip2', ['-c'], { input: TAR });

describe('threads that look into archives', () => {
  let threads: InspectionThreads;
  beforeEach(() => {
    threads = createInspectionThreads();
  });
  afterEach(() => threads.close());

  async function look(archive: Uint8Array) {
    const inspector = threads.open(archive.length);
    try {
      await inspector.write(archive);
      return await inspector.end();
    } finally {
      inspector.abort();
    }
  }

  it('find the same as is found without them', async () => {
    for (const archive of [TAR, gzipSync(TAR), BZIP2, execFileSync('xz', ['-c'], { input: TAR })])
      expect(await look(archive)).toEqual(await inspect(archive));
  });

  it('tell what is wrong, and then look into the next archive', async () => {
    const fault = { code: 'invalid-archive', message: 'the file is empty' };
    const inspector = threads.open(0);
    await expect(inspector.end()).rejects.toMatchObject(fault);
    await expect(inspector.write(TAR)).rejects.toMatchObject(fault);
    expect((await look(TAR)).members).toBe(3);
  });

  it('glimpse into an archive that is not there whole', async () => {
    const inspector = threads.open(TAR.length);
    await inspector.write(TAR.subarray(0, 100_000));
    expect(await inspector.glimpse()).toMatchObject({ folder: FOLDER });
    inspector.abort();
    await expect(inspector.write(TAR)).rejects.toMatchObject({ code: 'incomplete' });
  });

  it('stop in the middle of a write', async () => {
    const inspector = threads.open(BZIP2.length);
    const pending = inspector.write(BZIP2);
    inspector.abort();
    await expect(inspector.end()).rejects.toMatchObject({ code: 'incomplete' });
    await pending.catch(() => undefined);
    expect((await look(BZIP2)).members).toBe(3);
  });

  it('may be many at a time', async () => {
    const found = await Promise.all(Array.from({ length: 5 }, () => look(gzipSync(TAR))));
    expect(found.map(({ members }) => members)).toEqual([3, 3, 3, 3, 3]);
  });
});

it('leave nothing of the programs that they started', async () => {
  const threads = createInspectionThreads();
  const inspector = threads.open(BZIP2.length);
  await inspector.write(BZIP2.subarray(0, 1000));
  inspector.abort();
  await threads.close();
  const children = execFileSync('ps', ['-o', 'comm=', '--ppid', String(process.pid)], { encoding: 'utf8' });
  expect(children).not.toMatch(/bzip2/);
});
