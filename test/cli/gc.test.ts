import { appendFile, mkdir, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { digestOf, type Digest } from '../../src/cache/digest.ts';
import { blobName, entriesPrefix } from '../../src/cache/layout.ts';
import { contentsOf } from '../fixtures/folder-contents.ts';
import { addBlob, addRelease, keyOf, makeStore, signRelease } from '../operations/test-store.ts';
import { flipBit } from '../operations/upkeep/upkeep-store.ts';
import { runCache } from './command.ts';
import { addReleases, makeSite, urlOf, type Site } from './upkeep-site.ts';

const LONG_AGO = new Date('2020-01-02T03:04:05Z');

let site: Site;

beforeEach(async () => {
  site = await makeSite(`[pin]\nkeep = ${urlOf(2)}\n`);
});

const cache = (...args: readonly string[]) => runCache(site.folder, ...args);
const fileOf = (sha512: Digest) => join(site.root, blobName(sha512));
const age = (sha512: Digest) => utimes(fileOf(sha512), LONG_AGO, LONG_AGO);
const isThere = (sha512: Digest) =>
  stat(fileOf(sha512)).then(
    () => true,
    () => false,
  );

describe('cache remove and cache gc', () => {
  it('free the room of a release; a dry run says the same and changes nothing', async () => {
    const [old, other, pinned] = await addReleases(site, 3);
    if (old === undefined || other === undefined || pinned === undefined) throw new Error('none was added');
    const before = await contentsOf(site.folder);
    const dry = await cache('remove', '--dry-run', urlOf(0));
    expect([dry.code, dry.stderr]).toEqual([0, 'Dry run: 1 entry, 1 blob (58.6 KiB) would be removed\n']);
    expect(await contentsOf(site.folder)).toEqual(before);
    const removal = await cache('remove', urlOf(0));
    expect(removal.code, removal.stderr).toBe(0);
    expect(removal.stdout).toBe(dry.stdout);
    expect(removal.stdout).toContain(urlOf(0));
    expect(removal.stderr).toBe('1 entry, 1 blob (58.6 KiB) removed\n');
    expect(await isThere(old.sha512)).toBe(false);
    expect([await isThere(other.sha512), await isThere(pinned.sha512)]).toEqual([true, true]);
    expect((await cache('log')).stdout).toMatch(/remove.*\n.*remove/);
  });

  it("keep a removed release's blob that another key names, and all blobs while an entry is damaged", async () => {
    const [shared] = await addReleases(site, 1);
    const [damaged] = await addReleases(site, 6, 5);
    if (shared === undefined || damaged === undefined) throw new Error('none was added');
    const other = { url: urlOf(3), more: { sha512: shared.sha512 }, content: '' };
    await site.directory.add(keyOf(other), signRelease(site.signer, other));
    expect((await cache('remove', urlOf(0))).stderr).toBe('1 entry, 0 blobs (0 B) removed\n');
    expect(await isThere(shared.sha512)).toBe(true);

    await flipBit(site.root, entriesPrefix(keyOf({ url: urlOf(5) })) + damaged.digest);
    const { code, stderr } = await cache('remove', urlOf(3));
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /^1 entry, 0 blobs \(0 B\) removed\ncache: the blobs were kept: an entry that cannot be read may name them\. Heal it with: cache verify --heal-from PLACE; then remove the blobs with: cache gc --unnamed\n$/,
    );
    expect(await isThere(shared.sha512)).toBe(true);
  });

  it('says so when there is nothing to remove', async () => {
    const site = await makeSite();
    expect((await runCache(site.folder, 'gc')).stderr).toBe('nothing to remove\n');
    expect((await runCache(site.folder, 'gc', '-n')).stderr).toBe('Dry run: nothing to remove\n');
  });

  it('keep and count what was uploaded by itself; cache gc --unnamed removes it', async () => {
    await addReleases(site, 1);
    await addBlob(site.blobs, 'a source, uploaded with networkcache-upload --file');
    const uploaded = digestOf('a source, uploaded with networkcache-upload --file');
    await age(uploaded);
    for (const args of [['--dry-run'], [], ['--grace', '0']]) {
      const { code, stdout, stderr } = await cache('gc', ...args);
      expect([code, stdout]).toEqual([0, '']);
      expect(stderr).toMatch(/1 unnamed blob \(50 B\) kept; remove it with: cache gc --unnamed\n$/);
    }
    expect(JSON.parse((await cache('gc', '--json')).stdout)).toMatchObject({
      blobs: [],
      unnamed: [{ sha512: uploaded, size: 50 }],
    });
    expect(await isThere(uploaded)).toBe(true);

    const before = await contentsOf(site.folder);
    const dry = await cache('gc', '--unnamed', '--dry-run');
    expect(dry).toEqual({
      code: 0,
      stdout: `blob  50 B  ${uploaded}\n`,
      stderr:
        'Dry run: 0 superseded entries, 1 blob (50 B), 0 leftovers, 0 import records would be removed\n',
    });
    expect(await contentsOf(site.folder)).toEqual(before);
    const real = await cache('gc', '--unnamed');
    expect(real.stdout).toBe(dry.stdout);
    expect(real.stderr).toMatch(/1 blob \(50 B\), 0 leftovers, 0 import records removed\n$/);
    expect(await isThere(uploaded)).toBe(false);
  });

  it('tell of blobs that are kept because they are young, and how to free them, too', async () => {
    await addReleases(site, 1);
    await addBlob(site.blobs, 'young');
    const young = digestOf('young');
    for (const args of [['--dry-run'], []]) {
      const { code, stdout, stderr } = await cache('gc', '--unnamed', ...args);
      expect([code, stdout]).toEqual([0, '']);
      expect(stderr).toContain(
        '1 blob (5 B) kept although no entry needs it: younger than 24h, and an entry may follow. If no import or upload is running: cache gc --unnamed --grace 0\n',
      );
    }
    const report = JSON.parse((await cache('gc', '--unnamed', '--json')).stdout) as { young: unknown };
    expect(report).toEqual({
      ...{ entries: [], blobs: [], leftovers: [], records: [] },
      ...{ young: [{ sha512: young, size: 5 }], unnamed: [], damaged: [] },
    });
    expect(await isThere(young)).toBe(true);
    const { stdout, stderr } = await cache('gc', '--unnamed', '--grace', '0');
    expect(stdout).toBe(`blob  5 B  ${young}\n`);
    expect(stderr).not.toContain('kept');
    expect(await isThere(young)).toBe(false);
  });

  it('keep blobs that are dated in the future, and tell of them', async () => {
    const [future] = await addReleases(site, 1);
    if (future === undefined) throw new Error('none was added');
    await addReleases(site, 2, 1);
    await utimes(fileOf(future.sha512), new Date('2200-01-01'), new Date('2200-01-01'));
    expect((await cache('remove', urlOf(0))).stderr).toBe('1 entry, 0 blobs (0 B) removed\n');
    const { stdout, stderr } = await cache('gc', '--unnamed', '--grace', '0');
    expect(stdout).toBe('');
    expect(stderr).toContain(
      '1 blob (58.6 KiB) kept although no entry needs it: dated in the future, so a clock is or was wrong\n',
    );
    expect(await isThere(future.sha512)).toBe(true);
  });

  it('keep all blobs of a store without any entry, unless that is meant', async () => {
    const [entry] = await addReleases(site, 1);
    if (entry === undefined) throw new Error('none was added');
    await age(entry.sha512);
    await rm(join(site.root, 'bdir'), { recursive: true });
    const { code, stdout, stderr } = await cache('gc', '--unnamed');
    expect([code, stdout]).toEqual([1, '']);
    expect(stderr).toMatch(
      /all blobs were kept, because the store has no entry at all: is a disk missing .* cache gc --unnamed --allow-empty/,
    );
    const verified = await cache('verify');
    expect(verified.stderr).toMatch(/the store holds 1 blob, but no entry at all/);
    expect(verified.stderr).not.toMatch(/cache gc/);
    expect((await cache('gc', '--unnamed', '--allow-empty')).stdout).toBe(
      `blob  58.6 KiB  ${entry.sha512}\n`,
    );
  });

  it('leave alone what is pinned, what is unknown and what is asked for wrongly', async () => {
    await addReleases(site, 3);
    const before = await contentsOf(site.folder);
    for (const [args, code, message] of [
      [
        ['remove', urlOf(2)],
        1,
        /is pinned and stays; .* remove the line "keep = …" from \[pin\] of .*config\.ini/,
      ],
      [['remove', urlOf(7)], 1, /no entry in the store: .*1\.0\.7.*\ncache: did you mean .*1\.0\.\d\//],
      [['remove', '--os', 'debian-12', urlOf(0)], 1, /its only entry is for another platform: /],
      [['remove', urlOf(0), ''], 2, /an empty name; write a software URL or a key/],
      [['remove'], 2, /missing required argument 'url\|name\|key'/],
      [['gc', '--keep', '0'], 2, /--keep: not a number of entries to keep: "0"; write 1 or more/],
      [['gc', '--grace', '1 moon'], 2, /--grace: not a duration: "1 moon"/],
    ] as const) {
      const result = await cache(...args);
      expect([result.code, result.stdout], result.stderr).toEqual([code, '']);
      expect(result.stderr).toMatch(message);
    }
    expect(await contentsOf(site.folder)).toEqual(before);
  });
});

describe('a store with less room than its reserve', () => {
  const fill = (): Promise<void> =>
    appendFile(join(site.folder, 'config.ini'), '[upload]\nmin-free-space = 1000000 GiB\n');

  it('is looked after: remove and gc are recorded, verify --repair restores the mark', async () => {
    await addReleases(site, 1);
    await addBlob(site.blobs, 'unnamed');
    await age(digestOf('unnamed'));
    await fill();
    expect(await cache('gc', '--unnamed')).toMatchObject({ code: 0 });
    const removal = await cache('remove', urlOf(0));
    expect(removal).toMatchObject({ code: 0, stderr: '1 entry, 1 blob (58.6 KiB) removed\n' });
    expect((await cache('log')).stdout).toMatch(/ gc .*\n.* remove .*\n.* remove /);
    await writeFile(join(site.root, 'store.json'), '{');
    expect((await cache('verify', '--repair')).code).toBe(0);
    expect((await cache('verify')).code).toBe(0);
  });

  it('is exported', async () => {
    await addReleases(site, 2);
    await fill();
    await mkdir(join(site.folder, 'medium'));
    expect((await cache('export', 'medium')).stderr).toMatch(/^2 exported/m);
  });

  it('takes no release', async () => {
    await mkdir(join(site.folder, 'other'));
    await addRelease(await makeStore(join(site.folder, 'other')), site.signer, { content: 'one' });
    await fill();
    const { code, stdout, stderr } = await cache('sync', 'other', 'store');
    expect(stdout + stderr).toMatch(/must keep 1024000000\.0 MiB in reserve/);
    expect(code).toBe(3);
  });
});
