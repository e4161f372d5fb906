import { execFileSync } from 'node:child_process';
import { appendFile, link, mkdir, rename, symlink, truncate, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { digestOf } from '../../src/cache/digest.ts';
import type { EntryPair } from '../../src/cache/entry.ts';
import { keyOfSoftwareUrl, parseKey } from '../../src/cache/key.ts';
import type { Signer } from '../../src/cache/signature.ts';
import { membersOf, RAPID_CDN, unsignedEntry } from '../fixtures/entries.ts';
import { contentsOf } from '../fixtures/folder-contents.ts';
import { recordsIn } from '../fixtures/store-log.ts';
import { lacks } from '../http/outside-programs.ts';
import { createTestSigner } from '../http/test-signer.ts';
import { addRelease, BOOKWORM, keyOf, signRelease } from '../operations/test-store.ts';
import { runCache, type CommandResult } from './command.ts';
import { makeSite, type Site } from './upkeep-site.ts';

const WRITER = fileURLToPath(new URL('../judges/write_proxy_folders.py', import.meta.url));
const KEY = keyOf();
const PYPI = 'pypi:setuptools=44.1.1';
const OS = ['--os', 'ubuntu-22.04', '--multiarch', 'x86_64-linux-gnu'];

interface Row {
  readonly file: string;
  readonly key?: string;
  readonly sha512?: string;
  readonly size?: number;
  readonly status: string;
  readonly reason?: string;
}

let site: Site;
let stranger: Signer;
let content: string;
let metadata: string;

const cache = (...args: readonly string[]): Promise<CommandResult> => runCache(site.folder, ...args);
const importAll = (...args: readonly string[]): Promise<CommandResult> =>
  cache('import', '--from-proxy', 'content', 'metadata', ...args);

async function rowsOf(...args: readonly string[]): Promise<{ code: number | null; rows: readonly Row[] }> {
  const { code, stdout, stderr } = await importAll('--json', ...args);
  expect(stdout, stderr).not.toBe('');
  return { code, rows: JSON.parse(stdout) as Row[] };
}

/** The peer's folders, written by Python. */
function writeFolders(
  blobs: readonly string[],
  entries: Readonly<Record<string, readonly EntryPair[]>>,
): void {
  execFileSync('python3', [WRITER], { input: JSON.stringify({ content, metadata, blobs, entries }) });
}

const source = (signer: Signer, text: string): EntryPair =>
  signer.sign(JSON.stringify({ sha512: digestOf(text), version: text })).pair;

beforeAll(async () => {
  stranger = await createTestSigner('stranger');
});

describe.skipIf(lacks('python3'))('cache import --from-proxy', () => {
  beforeEach(async () => {
    site = await makeSite();
    content = join(site.folder, 'content');
    metadata = join(site.folder, 'metadata');
  });

  it('takes over releases, sources and blobs without a key, in the order of their lists', async () => {
    const newer = signRelease(site.signer, { content: 'newer' });
    const older = signRelease(site.signer, { content: 'older' });
    const other = signRelease(site.signer, { content: 'other', os: BOOKWORM });
    writeFolders(['newer', 'older', 'other', '2', '1', 'image'], {
      [KEY]: [newer.pair, other.pair, older.pair],
      [PYPI]: [source(site.signer, '2'), source(site.signer, '1')],
    });
    const before = await contentsOf(site.folder);
    const { code, stdout, stderr } = await importAll();
    expect(stderr).toMatch(/^6 imported$/m);
    expect(stdout).toContain(RAPID_CDN);
    expect(stdout).toContain(PYPI);
    expect(stdout).toContain(join('content', digestOf('image')));
    expect(code).toBe(0);
    expect((await site.directory.entries(KEY)).map(({ pair }) => pair)).toEqual(
      [newer, other, older].map(({ pair }) => pair),
    );
    const versions = (await site.directory.entries(parseKey(PYPI))).map(({ sha512 }) => sha512);
    expect(versions).toEqual([digestOf('2'), digestOf('1')]);
    expect(await site.blobs.stat(digestOf('image'))).toMatchObject({ size: 5 });
    expect((await cache('verify', '--deep')).code).toBe(0);
    expect((await cache('check', RAPID_CDN, '--deep', ...OS)).code).toBe(0);
    // Nothing is written to the peer's folders.
    const after = await contentsOf(site.folder);
    for (const [path, what] of Object.entries(before))
      if (/^(content|metadata)/.test(path)) expect(after[path]).toBe(what);
    const records = await recordsIn(site.root);
    expect(records).toHaveLength(6);
    expect(records.every(({ action }) => action === 'import')).toBe(true);
    expect(new Set(records.map((record) => record['source']))).toEqual(new Set([content]));

    const again = await rowsOf();
    expect(again.rows.map(({ status }) => status)).toEqual(Array(6).fill('unchanged'));
    expect(again.code).toBe(0);
    expect(await recordsIn(site.root)).toHaveLength(6);
  });

  it('places entries by the time of their files: what is newer here stays first', async () => {
    const made = (day: number) => ({ creation_date: `2026-01-0${day}T00:00:00Z` });
    const here = await addRelease(site, site.signer, { content: 'here', more: made(2) });
    const theirs = signRelease(stranger, { content: 'theirs', more: made(1) });
    writeFolders(['theirs'], { [KEY]: [theirs.pair] });
    await writeFile(join(site.folder, 'stranger.crt'), stranger.certificate);
    const lines = stranger.certificate.trim().replaceAll(/^/gm, '  ');
    await appendFile(join(site.folder, 'config.ini'), `signature-certificate-list =\n${lines}\n`);
    await utimes(join(metadata, KEY), 1e9, 1e9);
    const { code, stderr } = await importAll();
    expect(code, stderr).toBe(0);
    const digests = (await site.directory.entries(KEY)).map(({ digest }) => digest);
    expect(digests).toEqual([here.digest, theirs.digest]);
  });

  describe('from folders with faults', () => {
    const url = (name: string): string => `https://example.com/${name}/software.cfg`;
    const GOOD = url('good');

    beforeEach(async () => {
      const release = (name: string, signer = site.signer) =>
        signRelease(signer, { url: url(name), content: name }).pair;
      const names = ['good', 'stranger', 'unsigned', 'replayed', 'bad pair', 'wrong', 'cut off', 'linked'];
      const blobs = [...names, 'damaged', 'behind a folder', 'good source'];
      writeFolders(blobs, {
        [keyOfSoftwareUrl(GOOD)]: [release('good')],
        [keyOfSoftwareUrl(url('stranger'))]: [release('stranger', stranger)],
        [keyOfSoftwareUrl(url('unsigned'))]: [
          unsignedEntry(membersOf(url('unsigned'), { sha512: digestOf('unsigned') })).pair,
        ],
        [keyOfSoftwareUrl(url('elsewhere'))]: [release('replayed')],
        [keyOfSoftwareUrl(url('bad pair'))]: [['{}', ''], release('bad pair')],
        [keyOfSoftwareUrl(url('wrong'))]: [release('wrong')],
        [keyOfSoftwareUrl(url('cut off'))]: [release('cut off')],
        [keyOfSoftwareUrl(url('missing'))]: [release('missing')],
        [keyOfSoftwareUrl(url('linked'))]: [release('linked')],
        [PYPI]: [source(site.signer, 'good source')],
        'a-link': [],
      });
      await writeFile(join(content, digestOf('wrong')), 'WRONG');
      await truncate(join(content, digestOf('cut off')), 3);
      await writeFile(join(metadata, 'damaged'), '[["{');
      await writeFile(join(metadata, 'no-list'), '{"a": 1}');
      await writeFile(join(metadata, 'not a key'), '[]');
      await writeFile(join(content, 'README'), 'not a blob');
      await writeFile(join(content, digestOf('another')), 'not that');
      await mkdir(join(content, 'tmp'));
      await mkdir(join(metadata, 'tmp'));
      await rename(join(content, digestOf('linked')), join(site.folder, 'outside'));
      await symlink(join(site.folder, 'outside'), join(content, digestOf('linked')));
      await rename(join(metadata, 'a-link'), join(site.folder, 'list'));
      await symlink(join(site.folder, 'list'), join(metadata, 'a-link'));
      execFileSync('mkfifo', [join(metadata, 'a-pipe')]);
      await link(join(content, digestOf('good')), join(site.folder, 'hard'));
    });

    const REFUSED: Readonly<Record<string, RegExp>> = {
      [`metadata/${keyOfSoftwareUrl(url('stranger'))}`]: /^no trusted certificate verifies/,
      [`metadata/${keyOfSoftwareUrl(url('unsigned'))}`]: /^the entry is not signed$/,
      [`metadata/${keyOfSoftwareUrl(url('elsewhere'))}`]: /does not belong under key/,
      [`metadata/${keyOfSoftwareUrl(url('bad pair'))}`]: /^entry 1: .*sha512/,
      [`metadata/${keyOfSoftwareUrl(url('wrong'))}`]: /sha512/,
      [`metadata/${keyOfSoftwareUrl(url('cut off'))}`]: /sha512/,
      [`metadata/${keyOfSoftwareUrl(url('missing'))}`]: /has no blob/,
      [`metadata/${keyOfSoftwareUrl(url('linked'))}`]: /a link, which is not followed$/,
      'metadata/damaged': /^not JSON$/,
      'metadata/no-list': /^not a list of entries$/,
      'metadata/not a key': /^its name is not a key/,
      'metadata/a-link': /^a link, which is not followed$/,
      'metadata/a-pipe': /^not a regular file$/,
      'metadata/tmp': /^a folder$/,
      'content/README': /^its name is not a sha512/,
      'content/tmp': /^a folder$/,
      [`content/${digestOf('another')}`]: /sha512/,
      [`content/${digestOf('linked')}`]: /^a link, which is not followed$/,
    };

    const expectRows = (rows: readonly Row[], good: string): void => {
      const refused = rows.filter(({ status }) => status === 'refused');
      const byFile = new Map(
        refused.map(({ file, reason = '' }) => [file.slice(site.folder.length + 1), reason]),
      );
      expect([...byFile.keys()].sort()).toEqual(Object.keys(REFUSED).sort());
      for (const [file, reason] of Object.entries(REFUSED)) expect(byFile.get(file), file).toMatch(reason);
      expect(refused).toHaveLength(byFile.size);
      const others = rows.filter(({ status }) => status !== 'refused');
      expect(others.every(({ status }) => status === good)).toBe(true);
      expect(others.map(({ sha512 = '' }) => sha512).sort()).toEqual(
        ['good', 'good source', 'bad pair', 'damaged', 'behind a folder']
          .map((text) => digestOf(text) as string)
          .sort(),
      );
    };

    it('takes over the rest, names each file, and ends with 1', async () => {
      const { code, rows } = await rowsOf();
      expectRows(rows, 'imported');
      expect(code).toBe(1);
      expect((await cache('verify', '--deep')).code).toBe(0);
      expect((await cache('check', GOOD, ...OS)).code).toBe(0);
      for (const name of ['stranger', 'unsigned', 'wrong', 'cut off', 'linked'])
        expect(await site.blobs.stat(digestOf(name)), name).toBeUndefined();
    });

    it('finds the same and writes nothing with --dry-run', async () => {
      const before = await contentsOf(site.folder);
      const { code, rows } = await rowsOf('--dry-run');
      expectRows(rows, 'checked');
      expect(code).toBe(1);
      expect(await contentsOf(site.folder)).toEqual(before);
    });

    it('tells a person of each on stderr', async () => {
      const { stdout, stderr, code } = await importAll();
      expect(stderr).toMatch(/^5 imported, 18 refused$/m);
      expect(stderr).toContain(`cache: ${join(metadata, 'damaged')}: not JSON`);
      expect(stdout).toContain('REFUSED');
      expect(code).toBe(1);
    });
  });

  it('replaces a blob of the store that is cut off', async () => {
    const entry = signRelease(site.signer, { content: 'whole' });
    writeFolders(['whole', 'image'], { [KEY]: [entry.pair] });
    expect((await importAll()).code).toBe(0);
    for (const text of ['whole', 'image']) await truncate(join(site.root, 'bcache', digestOf(text)), 2);
    const { rows, code } = await rowsOf();
    expect(rows.map(({ status }) => status)).toEqual(['imported', 'imported']);
    expect(code).toBe(0);
    expect((await cache('verify', '--deep')).code).toBe(0);
  });

  it('of empty folders has nothing to import, which is 1', async () => {
    writeFolders([], {});
    expect(await importAll()).toMatchObject({ code: 1 });
  });

  it.each([
    [['content'], /--from-proxy: name two folders, CONTENT_DIR and METADATA_DIR/],
    [['content', 'metadata', 'more'], /--from-proxy: name two folders/],
    [['content', 'none'], /METADATA_DIR: .*none: no such folder/],
    [['config.ini', 'metadata'], /CONTENT_DIR: .*config\.ini: not a folder; name both/],
    [['content', 'metadata', '--url', 'https://h/s.cfg'], /'--from-proxy' cannot be used with option '--url/],
    [['content', 'metadata', '--recheck'], /cannot be used with option '--recheck'/],
  ])('%j is wrong usage', async (args, message) => {
    writeFolders([], {});
    const { code, stderr } = await cache('import', '--from-proxy', ...args);
    expect(stderr).toMatch(message);
    expect(code).toBe(2);
  });
});
