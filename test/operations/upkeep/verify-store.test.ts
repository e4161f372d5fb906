import { execFile, execFileSync } from 'node:child_process';
import { chmod, mkdir, readdir, readFile, rm, symlink, utimes, writeFile, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { digestOf } from '../../../src/cache/digest.ts';
import type { VerifiedEntry } from '../../../src/cache/entry.ts';
import { parseKey } from '../../../src/cache/key.ts';
import { blobName, entriesPrefix } from '../../../src/cache/layout.ts';
import type { Signer, TrustedCertificates } from '../../../src/cache/signature.ts';
import { createPace } from '../../../src/operations/upkeep/pace.ts';
import { recordsIn } from '../../fixtures/store-log.ts';
import { membersOf, unsignedEntry } from '../../fixtures/entries.ts';
import { contentsOf } from '../../fixtures/folder-contents.ts';
import { mountLost } from '../../fixtures/mounts.ts';
import { asOrdinaryUser } from '../../fixtures/ordinary-user.ts';
import { temporaryFolder } from '../../fixtures/temporary-folder.ts';
import { createTestSigner } from '../../http/test-signer.ts';
import { addBlob, addRelease, keyOf, makeStore, trusting, type TestStore } from '../test-store.ts';
import { briefly, flipBit, openToVerify, verifyAll } from './upkeep-store.ts';

const LONG_AGO = new Date('2020-01-02T03:04:05Z');

let signer: Signer;
let stranger: Signer;
let trusted: TrustedCertificates;
let store: TestStore;

beforeAll(async () => {
  [signer, stranger] = await Promise.all([createTestSigner(), createTestSigner('stranger')]);
  trusted = trusting(signer);
});

beforeEach(async () => {
  store = await makeStore();
});

const urlOf = (number: number): string => `https://example.com/${number}/software.cfg`;
const contentOf = (number: number): string => `archive ${number} `.repeat(1000 * (1 + (number % 7)));

async function addReleases(count: number): Promise<readonly VerifiedEntry[]> {
  const entries = [];
  for (let number = 0; number < count; number++)
    entries.push(await addRelease(store, signer, { url: urlOf(number), content: contentOf(number) }));
  return entries;
}

const nameOf = (entry: VerifiedEntry): string =>
  entriesPrefix(keyOf({ url: entry.softwareUrl ?? '' })) + entry.digest;

async function verify(options: Parameters<typeof verifyAll>[2] = {}) {
  return verifyAll(await openToVerify(store.root), trusted, options);
}

const found = async (options?: Parameters<typeof verifyAll>[2]) => briefly((await verify(options)).findings);

describe('a store in which nothing is wrong', () => {
  it('has no findings, and is counted', async () => {
    await addReleases(5);
    await addBlob(store.blobs, 'nobody needs this');
    await store.log.record({ action: 'import' });
    expect(await verify()).toEqual({
      findings: [],
      counts: {
        entries: 5,
        blobs: 6,
        bytes: [0, 1, 2, 3, 4].reduce((sum, number) => sum + contentOf(number).length, 17),
        unreferencedBlobs: 1,
        unreferencedBytes: 17,
      },
    });
    await rm(store.root, { recursive: true });
    await makeStore(store.root);
    expect(await found()).toEqual([]);
  });

  it('may be one that was put together by copying folders', async () => {
    await addReleases(1);
    await rm(join(store.root, 'store.json'));
    await rm(join(store.root, 'tmp'), { recursive: true });
    await mkdir(join(store.root, 'lost+found'));
    expect(await found()).toEqual([]);
  });

  it('has entries of sources, which tell no platform and no size', async () => {
    await addBlob(store.blobs, 'source');
    const entry = signer.sign(JSON.stringify({ sha512: digestOf('source') }));
    await store.directory.add(parseKey('pypi:slapos.core=1.0'), entry);
    expect(await found()).toEqual([]);
  });
});

describe('damage', () => {
  it('of one bit in each of 20 blobs and 20 entries: all 40 are found, and nothing else; sha512sum agrees', async () => {
    const entries = await addReleases(60);
    const bad = entries.flatMap((entry, index) =>
      index < 20 ? [blobName(entry.sha512)] : index < 40 ? [nameOf(entry)] : [],
    );
    for (const [index, name] of bad.entries()) {
      const bits = 8 * (await readFile(join(store.root, name))).length;
      await flipBit(store.root, name, Math.floor((bits * (index % 20)) / 20) + (index % 8));
    }
    const before = await contentsOf(store.root);
    const { findings } = await verify();
    expect(await contentsOf(store.root)).toEqual(before);
    expect(findings.map(({ path }) => path).sort()).toEqual([...bad].sort());
    expect(new Set(findings.map(({ kind }) => kind))).toEqual(new Set(['blob-damaged', 'entry-damaged']));
    const names = await readdir(join(store.root, 'bcache'));
    const sums = join(await temporaryFolder(), 'sums');
    await writeFile(sums, names.map((name) => `${name}  ${name}\n`).join(''));
    const judged = promisify(execFile)('sha512sum', ['-c', '--quiet', sums], {
      cwd: join(store.root, 'bcache'),
    });
    const { stdout } = await judged.catch((error: unknown) => error as { stdout: string });
    expect(
      stdout
        .trim()
        .split('\n')
        .map((line) => `bcache/${line.split(':')[0] ?? ''}`)
        .sort(),
    ).toEqual(
      findings
        .filter(({ kind }) => kind === 'blob-damaged')
        .map(({ path }) => path)
        .sort(),
    );
    // Without reading them, blobs of the right size seem right.
    expect(await found({ deep: false })).toEqual(
      briefly(findings.filter(({ kind }) => kind === 'entry-damaged')),
    );
  });

  it('tells what, where, and of which release', async () => {
    const [whole, cut, missing] = await addReleases(3);
    if (whole === undefined || cut === undefined || missing === undefined) throw new Error('none');
    await chmod(join(store.root, nameOf(cut)), 0o644);
    await writeFile(join(store.root, nameOf(cut)), '');
    await rm(join(store.root, blobName(missing.sha512)));
    const { findings } = await verify();
    expect(findings).toHaveLength(2);
    expect(findings).toContainEqual({
      kind: 'entry-damaged',
      path: nameOf(cut),
      key: keyOf({ url: urlOf(1) }),
      entry: cut.digest,
      problem: expect.stringMatching(/not what was written/) as string,
    });
    expect(findings).toContainEqual({
      kind: 'blob-missing',
      path: blobName(missing.sha512),
      key: keyOf({ url: urlOf(2) }),
      entry: missing.digest,
      sha512: missing.sha512,
      softwareUrl: urlOf(2),
      problem: expect.stringMatching(/it is missing/) as string,
    });
  });

  it('of size shows without reading all; an entry that tells a wrong size of a good blob is no finding', async () => {
    const content = contentOf(1);
    const more = { size: content.length };
    const entry = await addRelease(store, signer, { content, more });
    await addRelease(store, signer, { content, more: { size: 7 }, url: urlOf(2) });
    expect(await found({ deep: false })).toEqual([]);
    await chmod(join(store.root, blobName(entry.sha512)), 0o644);
    await writeFile(join(store.root, blobName(entry.sha512)), content.slice(0, -1));
    for (const deep of [false, true]) {
      const { findings } = await verify({ deep });
      expect(briefly(findings)).toEqual([`blob-damaged ${blobName(entry.sha512)}`]);
      expect(findings[0]?.problem).toMatch(/^its \d+ bytes have the sha512 [0-9a-f]{128}$/);
    }
  });

  it('of an entry that was moved to another key, or given another name', async () => {
    const [entry] = await addReleases(1);
    if (entry === undefined) throw new Error('none');
    const text = await readFile(join(store.root, nameOf(entry)));
    const elsewhere = entriesPrefix(keyOf({ url: urlOf(9) }));
    await mkdir(join(store.root, elsewhere));
    await writeFile(join(store.root, elsewhere, entry.digest), text);
    const renamed = entriesPrefix(keyOf({ url: urlOf(0) })) + digestOf('x');
    await writeFile(join(store.root, renamed), text);
    expect(await found()).toEqual(
      [`entry-damaged ${elsewhere}${entry.digest}`, `entry-damaged ${renamed}`].sort(),
    );
  });

  it('of permissions is a finding, and the rest is looked at', async () => {
    const entries = await addReleases(4);
    const opened = await openToVerify(store.root);
    const [badEntry, badBlob] = [
      nameOf(entries[0] as VerifiedEntry),
      blobName((entries[1] as VerifiedEntry).sha512),
    ];
    await chmod(store.root, 0o755);
    await chmod(join(store.root, badEntry), 0);
    await chmod(join(store.root, badBlob), 0);
    const { findings } = await asOrdinaryUser(() => verifyAll(opened, trusted));
    expect(briefly(findings)).toEqual([`forbidden ${badBlob}`, `forbidden ${badEntry}`].sort());
    expect(findings[0]?.problem).toMatch(/permission denied/);
  });

  it('of what the disk has lost is told apart from what may not be read', async (context) => {
    const [entry] = await addReleases(3);
    const name = blobName(entry?.sha512 ?? digestOf(''));
    await mountLost(context, join(store.root, name));
    const { findings } = await verify();
    expect(briefly(findings)).toEqual([`unreadable ${name}`]);
    expect(findings[0]?.problem).toMatch(/the disk fails \(EIO\)/);
  });

  it('of store.json', async () => {
    await addReleases(1);
    await chmod(join(store.root, 'store.json'), 0o644);
    await writeFile(join(store.root, 'store.json'), '{"format');
    expect(await found()).toEqual(['mark-damaged store.json']);
  });

  it('of each record of the log that was changed or cut off, and of what is no record there', async () => {
    await addReleases(1);
    for (const reason of ['one', 'two', 'three']) await store.log.record({ action: 'import', reason });
    await writeFile(join(store.root, 'custody.log'), 'of an earlier version');
    const [one = '', two = '', three = ''] = await store.log.list();
    for (const name of [two, three]) await chmod(join(store.root, name), 0o644);
    const text = await readFile(join(store.root, two), 'utf8');
    await writeFile(join(store.root, two), text.replace('"two"', '"twa"'));
    await truncate(join(store.root, three), 50);
    await writeFile(join(store.root, 'log', 'notes'), 'x');
    expect(await found()).toEqual([`record-damaged ${two}`, `record-damaged ${three}`, 'stray log/notes']);
    expect(await recordsIn(store.root).catch(String)).toContain(two.slice('log/'.length));
    expect((await store.log.read(one))?.reason).toBe('one');
  });
});

describe('signatures', () => {
  it('of strangers, and missing ones, are findings; missing ones may be allowed', async () => {
    await addReleases(1);
    const foreign = await addRelease(store, stranger, { url: urlOf(1), content: contentOf(1) });
    const unsigned = unsignedEntry(membersOf(urlOf(2), { sha512: digestOf(contentOf(1)) }));
    await store.directory.add(keyOf({ url: urlOf(2) }), unsigned);
    const expected = [foreign, unsigned].map((entry) => `entry-untrusted ${nameOf(entry)}`);
    expect(await found()).toEqual(expected.sort());
    expect(await found({ allowUnsigned: true })).toEqual([`entry-untrusted ${nameOf(foreign)}`]);
    const both = await verifyAll(await openToVerify(store.root), trusting(signer, stranger));
    expect(briefly(both.findings)).toEqual([`entry-untrusted ${nameOf(unsigned)}`]);
  });
});

describe('strays', () => {
  it('are named, whatever they are and wherever they stand', async () => {
    const [entry] = await addReleases(1);
    if (entry === undefined) throw new Error('none');
    const key = keyOf({ url: urlOf(0) });
    const at = (path: string) => join(store.root, path);
    const strays = [
      'notes.txt',
      'folder',
      'bcache/short',
      `bcache/${entry.sha512.toUpperCase()}`,
      'bcache/link',
      'bdir/no key at all',
      'bdir/PYPI%3aa',
      'bdir/pypi:a',
      `bdir/${'0'.repeat(32)}`,
      `bdir/${key}/notes.txt`,
      `bdir/${key}/${entry.digest}.bak`,
      'imports/x',
      'parts/x',
    ];
    for (const folder of ['folder', 'imports', 'parts', 'bdir/no key at all', 'bdir/PYPI%3aa', 'bdir/pypi:a'])
      await mkdir(at(folder));
    for (const path of strays.filter((name) => !/^(folder|bcache.link|bdir.[^/]*)$/.test(name)))
      await writeFile(at(path), 'x');
    await symlink('/etc/passwd', at('bcache/link'));
    await symlink(key, at(`bdir/${'0'.repeat(32)}`));
    await writeFile(at('tmp/from another time'), '');
    await utimes(at('tmp/from another time'), LONG_AGO, LONG_AGO);
    await writeFile(at('tmp/just now'), '');
    expect(await found()).toEqual([
      'leftover tmp/from another time',
      ...strays.map((path) => `stray ${path}`).sort(),
    ]);
  });

  it('are none where the store keeps something for its own use', async () => {
    await addReleases(1);
    await mkdir(join(store.root, 'quarantine', 'x'), { recursive: true });
    await writeFile(join(store.root, 'quarantine', 'x', 'anything'), '');
    await writeFile(join(store.root, 'scrub.json'), '{}');
    await mkdir(join(store.root, 'exports'));
    await mkdir(join(store.root, 'trips'));
    await mkdir(join(store.root, 'imports'));
    await writeFile(join(store.root, 'imports', digestOf('x')), '{}');
    const writer = await store.storage.create();
    expect(await found()).toEqual([]);
    await writer.abort();
  });

  it('in the place of an object are the damage of that object', async () => {
    const [link, folder, pipe] = await addReleases(3);
    if (link === undefined || folder === undefined || pipe === undefined) throw new Error('none');
    const paths = [blobName(link.sha512), blobName(folder.sha512), nameOf(pipe)];
    for (const path of paths) await rm(join(store.root, path));
    await symlink('/etc/passwd', join(store.root, paths[0] ?? ''));
    await mkdir(join(store.root, paths[1] ?? ''));
    execFileSync('mkfifo', [join(store.root, paths[2] ?? '')]);
    const expected = [`blob-damaged ${paths[0]}`, `blob-damaged ${paths[1]}`, `entry-damaged ${paths[2]}`];
    for (const deep of [false, true]) expect(await found({ deep })).toEqual(expected.sort());
  });
});

describe('what came lately', () => {
  it('is all that is looked at with --since', async () => {
    const [oldBlob, newBlob, oldEntry, newEntry] = await addReleases(4);
    const bad = [oldBlob, newBlob].map((entry) => blobName((entry as VerifiedEntry).sha512));
    bad.push(...[oldEntry, newEntry].map((entry) => nameOf(entry as VerifiedEntry)));
    for (const name of bad) await flipBit(store.root, name);
    for (const name of [bad[0], bad[2]]) await utimes(join(store.root, name ?? ''), LONG_AGO, LONG_AGO);
    const since = LONG_AGO.getTime() + 1;
    expect(await found({ since })).toEqual([`blob-damaged ${bad[1]}`, `entry-damaged ${bad[3]}`].sort());
    expect(await found({ since: LONG_AGO.getTime() })).toHaveLength(4);
  });
});

describe('a store in use', () => {
  it('has no finding of what comes and goes while it is looked at', async ({ signal }) => {
    await addReleases(10);
    const opened = await openToVerify(store.root);
    const over = new AbortController();
    const rounds = [0, 0, 0];
    const comeAndGo = async (worker: number): Promise<void> => {
      for (let round = 0; !over.signal.aborted; round++) {
        const url = `https://example.com/${worker}/${round}/software.cfg`;
        const content = `${worker} ${round}`;
        const entry = await addRelease(store, signer, { url, content });
        await store.directory.remove(keyOf({ url }), entry.digest);
        await store.blobs.remove(entry.sha512);
        rounds[worker] = round + 1;
      }
    };
    const workers = Promise.all([0, 1, 2].map(comeAndGo));
    // One that fails would never come to its rounds.
    workers.catch(() => {
      over.abort();
    });
    const either = AbortSignal.any([signal, over.signal]);
    try {
      for (let times = 0; times < 20 || Math.min(...rounds) < 6; times++) {
        either.throwIfAborted();
        expect((await verifyAll(opened, trusted)).findings).toEqual([]);
      }
    } finally {
      over.abort();
      await workers;
    }
  });
});

describe('a pace', () => {
  it('lets no more bytes through than its rate, and nothing once it was given up', async () => {
    const giveUp = new AbortController();
    const pace = createPace({ rate: 1_000_000, signal: giveUp.signal });
    const begin = performance.now();
    for (let count = 0; count < 11; count++) await pace.take(20_000);
    // The last piece begins when those before it have had their time.
    expect(performance.now() - begin).toBeGreaterThan(190);
    giveUp.abort();
    await expect(pace.take(1)).rejects.toThrow(/abort/i);
  });
});
