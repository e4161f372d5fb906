import { chmod, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import type { LogEvent, StoreLog } from '../../src/cache/store-log.ts';
import { createStoreLog } from '../../src/cache/store-log.ts';
import { digestOf } from '../../src/cache/digest.ts';
import { keyOfSoftwareUrl } from '../../src/cache/key.ts';
import { CUSTODY_FILE } from '../../src/cache/layout.ts';
import type { ObjectStorage } from '../../src/cache/object-storage.ts';
import { openStorage } from '../fixtures/open-storage.ts';
import { collect } from '../fixtures/collect.ts';
import { recordsIn } from '../fixtures/store-log.ts';
import { RAPID_CDN } from '../fixtures/entries.ts';
import { cacheErrorOf } from '../fixtures/expected-error.ts';
import { contentsOf } from '../fixtures/folder-contents.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';

const ALICE = { user: 'root', sudoUser: 'alice', host: 'master' };
const IMPORT: LogEvent = {
  action: 'import',
  key: keyOfSoftwareUrl(RAPID_CDN),
  entry: digestOf('entry'),
  sha512: digestOf('blob'),
  softwareUrl: RAPID_CDN,
  size: 123,
  source: '/mnt/device/software/rapid-cdn-1.0.344-ubuntu-22.04.tar.gz',
};

let root: string;
let storage: ObjectStorage;

beforeEach(async () => {
  root = await temporaryFolder();
  storage = await openStorage(root, { write: true });
});

const logAt = (now: string | Date = '2026-11-20T21:34:00Z'): StoreLog =>
  createStoreLog(storage, { who: ALICE, now: () => new Date(now) });

const sourcesIn = async (): Promise<readonly unknown[]> =>
  (await recordsIn(root)).map(({ source }) => source);

describe('a record', () => {
  it('holds who, what and when', async () => {
    await logAt().record(IMPORT);
    expect(await recordsIn(root)).toEqual([{ at: '2026-11-20T21:34:00.000Z', who: ALICE, ...IMPORT }]);
  });

  it('has the address of a client, and a name only where it was proved', async () => {
    const log = logAt();
    await log.record({ action: 'upload' }, { user: 'ci', remote: '192.168.32.9' });
    await log.record({ action: 'upload' }, { user: undefined, remote: '192.168.32.9' });
    expect((await recordsIn(root)).map(({ who }) => who)).toEqual([
      { user: 'ci', remote: '192.168.32.9', host: 'master' },
      { remote: '192.168.32.9', host: 'master' },
    ]);
  });

  it('is one line in plain text, whatever it holds', async () => {
    const hostile = 'a\nb\r\u2028c\u2029d\u0085e\u009b2Jf\u007fg\0h\ud800i"\\';
    const log = logAt();
    await log.record({ action: 'repair', reason: hostile });
    const [name = ''] = await log.list();
    expect((await readFile(join(root, name), 'utf8')).slice(0, -1)).not.toMatch(/[\p{Cc}\u2028\u2029]/u);
    expect((await log.read(name))?.reason).toBe(hostile);
  });

  it('stays short, and is read again: texts without end are cut', async () => {
    const endless = '\0'.repeat(1_000_000);
    const log = logAt();
    await log.record({
      ...{ action: 'import', softwareUrl: endless, source: endless, target: endless, reason: endless },
    });
    const [name = ''] = await log.list();
    expect((await log.read(name))?.source).toMatch(/^\0{1999}…$/);
    expect((await storage.stat(name))?.size).toBeLessThan(128 * 1024);
  });

  it('has a name that FAT takes, too', async () => {
    const log = logAt();
    await log.record(IMPORT);
    expect(await log.list()).toEqual([
      expect.stringMatching(/^log\/20261120T213400\.000Z-\d{6}-[0-9a-f]{16}$/),
    ]);
  });

  it('may hold actions and members that this version does not know', async () => {
    const text = JSON.stringify({
      at: '2026-11-20T21:34:00.000Z',
      who: { host: 'x' },
      action: 'bless',
      by: 'y',
    });
    const name = `log/20261120T213400.000Z-000000-${digestOf(text).slice(0, 16)}`;
    await writeObject(name, `${text}\n`);
    expect(await logAt().read(name)).toMatchObject({ action: 'bless', by: 'y' });
  });

  it.each<[string, (path: string) => Promise<void>]>([
    [
      'a flipped bit',
      async (path) => writeFile(path, (await readFile(path, 'utf8')).replace('alice', 'alicd')),
    ],
    ['a missing end', (path) => truncate(path, 100)],
    ['nothing in it', (path) => truncate(path, 0)],
    ['other JSON', (path) => writeFile(path, '[]\n')],
  ])('with %s is damaged, and the others are read', async (_what, spoil) => {
    const log = logAt();
    await log.record(IMPORT);
    await log.record({ action: 'gc' });
    const [bad = '', good = ''] = await log.list();
    await chmod(join(root, bad), 0o644);
    await spoil(join(root, bad));
    const error = await cacheErrorOf(log.read(bad));
    expect(error.message).toBe(`${bad} of the store is damaged: it is not what was written`);
    expect((await log.read(good))?.action).toBe('gc');
  });
});

describe('the log', () => {
  it('is empty before something is recorded, and is not made by reading', async () => {
    const before = await contentsOf(root);
    expect(await logAt().list()).toEqual([]);
    expect(await collect(logAt().oldRecords())).toEqual([]);
    expect(await contentsOf(root)).toEqual(before);
  });

  it('keeps the order of time, and of what one process records in one millisecond', async () => {
    const late = logAt('2026-11-20T21:34:01Z');
    for (const source of ['c', 'd', 'e']) await late.record({ action: 'import', source });
    const early = logAt('2026-11-20T21:34:00Z');
    for (const source of ['a', 'b']) await early.record({ action: 'import', source });
    expect(await sourcesIn()).toEqual(['a', 'b', 'c', 'd', 'e']);
    const read = await Promise.all((await late.list()).map((name) => late.read(name)));
    expect(read.map((record) => record?.source)).toEqual(['a', 'b', 'c', 'd', 'e']);
  });

  it('has a record for each event, also of the same one in one millisecond', async () => {
    const log = logAt();
    await Promise.all(Array.from({ length: 20 }, () => log.record({ action: 'upload' })));
    expect(await recordsIn(root)).toHaveLength(20);
  });

  it('passes over what is no record, and what is gone when it is read', async () => {
    const log = logAt();
    await log.record(IMPORT);
    await writeFile(join(root, 'log', 'notes'), 'x');
    const [name = '', ...others] = await log.list();
    expect(others).toEqual([]);
    await rm(join(root, name));
    expect(await log.read(name)).toBeUndefined();
  });
});

describe('the custody.log of an earlier version', () => {
  const OLD = (source: string): string =>
    JSON.stringify({
      previous: digestOf(source),
      at: '2026-11-20T21:34:00.000Z',
      who: ALICE,
      ...IMPORT,
      source,
    });

  it('is read line by line, and never written', async () => {
    const text = `${OLD('a')}\nno record\n${OLD('é'.repeat(40_000))}\n\n${OLD('b')}`;
    await writeFile(join(root, CUSTODY_FILE), text);
    const records = await collect(logAt().oldRecords());
    expect(records.map((record) => record?.source)).toEqual([
      ...['a', undefined, 'é'.repeat(40_000), undefined, 'b'],
    ]);
    await logAt().record(IMPORT);
    expect(await readFile(join(root, CUSTODY_FILE), 'utf8')).toBe(text);
  });

  it('is not read into memory where a line has no end', async () => {
    await writeFile(join(root, CUSTODY_FILE), '');
    await truncate(join(root, CUSTODY_FILE), 64 * 1024 * 1024);
    const error = await cacheErrorOf(collect(logAt().oldRecords()));
    expect(error.message).toBe('custody.log of the store has a line of more than 131072 bytes; move it away');
  });
});

async function writeObject(name: string, text: string): Promise<void> {
  const writer = await storage.create();
  await writer.write([Buffer.from(text)]);
  await writer.commit(name);
}
