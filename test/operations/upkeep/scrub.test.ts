import { chmod, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { blobName } from '../../../src/cache/layout.ts';
import type { Signer } from '../../../src/cache/signature.ts';
import { createScrub, type Scrub, type ScrubOptions } from '../../../src/operations/upkeep/scrub.ts';
import { contentsOf } from '../../fixtures/folder-contents.ts';
import { createTestSigner } from '../../http/test-signer.ts';
import { addRelease, makeStore, trusting, type TestStore } from '../test-store.ts';
import { flipBit, openToVerify } from './upkeep-store.ts';

const HOUR = 3600_000;

let signer: Signer;
let store: TestStore;
let told: string[];

beforeAll(async () => {
  signer = await createTestSigner();
});

beforeEach(async () => {
  store = await makeStore();
  told = [];
  const { sha512 } = await addRelease(store, signer, { content: 'abcdef' });
  await flipBit(store.root, blobName(sha512));
});

function start(options: Partial<ScrubOptions> = {}): Scrub {
  const scrub = createScrub({
    interval: HOUR,
    open: () => openToVerify(store.root),
    trusted: trusting(signer),
    allowUnsigned: false,
    onBegin: () => told.push('begin'),
    onFinding: ({ kind }) => told.push(kind),
    onEnd: ({ findings }, { blobs }) => told.push(`end ${findings} ${blobs}`),
    onFailure: (error) => told.push(error instanceof Error ? error.message : 'failure'),
    ...options,
  });
  onTestFinished(() => scrub.stop());
  scrub.start();
  return scrub;
}

const until = (condition: () => unknown) =>
  vi.waitFor(() => {
    expect(condition()).toBeTruthy();
  }, 20_000);
const note = async () =>
  JSON.parse(await readFile(join(store.root, 'scrub.json'), 'utf8')) as { finished: string };

describe('a server that checks its store', () => {
  it('reads it once in the interval, tells what is wrong, changes nothing, and notes when it did', async () => {
    const before = await contentsOf(store.root);
    const scrub = start();
    await until(() => scrub.last());
    expect(told).toEqual(['begin', 'blob-damaged', 'end 1 1']);
    expect(scrub.last()).toMatchObject({ findings: 1 });
    expect(await note()).toEqual(scrub.last());
    expect(await contentsOf(store.root)).toMatchObject({ ...before, tmp: expect.anything() as unknown });
    // The next server on this store has not to do it again.
    const next = start();
    await until(() => next.last());
    expect(next.last()).toEqual(scrub.last());
    expect(told).toHaveLength(3);
  });

  it('does it again when the interval is over, or the note is no note or of the future', async () => {
    const later = new Date(Date.now() + 24 * HOUR).toISOString();
    const notes = [
      JSON.stringify({ finished: new Date(Date.now() - HOUR).toISOString(), findings: 0 }),
      JSON.stringify({ finished: later, findings: 0 }),
      '{"finished": 7}',
      '',
    ];
    for (const [index, text] of notes.entries()) {
      await chmod(join(store.root, 'scrub.json'), 0o644).catch(() => undefined);
      await writeFile(join(store.root, 'scrub.json'), text);
      const scrub = start();
      await until(() => told.length === 3 * (index + 1));
      await scrub.stop();
      expect(scrub.last()).toMatchObject({ findings: 1 });
    }
  });

  it('goes on again and again', async () => {
    const scrub = start({ interval: 20 });
    await until(() => told.filter((line) => line === 'begin').length >= 3);
    await scrub.stop();
    const { length } = told;
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(told).toHaveLength(length);
  });

  it('stops in the middle of a blob, and notes nothing then', async () => {
    await addRelease(store, signer, { content: Buffer.alloc(8 << 20), url: 'https://example.com/large' });
    // At this rate it would take a year.
    const scrub = start({ rate: 1 });
    await until(() => told.includes('begin'));
    await scrub.stop();
    expect(scrub.last()).toBeUndefined();
    expect(told.filter((line) => line.startsWith('end'))).toEqual([]);
    await expect(note()).rejects.toThrow(/ENOENT/);
  });

  it('tells when the disk is away, and checks it when it is back', async () => {
    await rename(store.root, `${store.root}-away`);
    const scrub = start({ interval: 50 });
    await until(() => told.some((line) => /there is no store/.test(line)));
    expect(told).not.toContain('begin');
    await rename(`${store.root}-away`, store.root);
    await until(() => scrub.last());
    expect(scrub.last()).toMatchObject({ findings: 1 });
  });
});
