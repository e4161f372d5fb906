import { execFile } from 'node:child_process';
import { chmod, readdir, readFile, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import type { VerifiedEntry } from '../../src/cache/entry.ts';
import { blobName, entriesPrefix } from '../../src/cache/layout.ts';
import type { JsonOutput } from '../../src/cli/json-output.ts';
import { isHeavy } from '../fixtures/heavy.ts';
import { contentsOf } from '../fixtures/folder-contents.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { python } from '../http/python-judge.ts';
import { keyOf } from '../operations/test-store.ts';
import { flipBit } from '../operations/upkeep/upkeep-store.ts';
import { runCache } from './command.ts';
import { serveFrom } from './served.ts';
import { addReleases, makeSite, sha512, urlOf, type Site } from './upkeep-site.ts';

type Report = JsonOutput<'verify'>;

let site: Site;

beforeEach(async () => {
  site = await makeSite();
});

const cache = (...args: readonly string[]) => runCache(site.folder, ...args);
const nameOf = ({ softwareUrl = '', digest }: VerifiedEntry) =>
  entriesPrefix(keyOf({ url: softwareUrl })) + digest;

async function report(...args: readonly string[]): Promise<Report & { readonly code: number | null }> {
  const { code, stdout } = await cache('verify', '--json', ...args);
  return { code, ...(JSON.parse(stdout) as Report) };
}

const paths = (findings: Report['findings']) => findings.map(({ path }) => path).sort();

describe('one bit flipped in each of 20 blobs and 20 entries', () => {
  let good: Site;
  let entries: readonly VerifiedEntry[];
  let bad: readonly string[];

  beforeEach(async () => {
    good = await makeSite();
    entries = await addReleases(site, 45);
    await addReleases(good, 45);
    bad = entries.flatMap((entry, index) =>
      index < 20 ? [blobName(entry.sha512)] : index < 40 ? [nameOf(entry)] : [],
    );
    for (const [index, name] of bad.entries()) {
      const bits = 8 * (await readFile(join(site.root, name))).length;
      await flipBit(site.root, name, Math.floor((bits * (index + 0.5)) / 40));
    }
  });

  it('is found: all 40, and nothing else; nothing is changed', async () => {
    const before = await contentsOf(site.folder);
    const { code, findings, counts } = await report('--deep');
    expect(code).toBe(1);
    expect(paths(findings)).toEqual([...bad].sort());
    expect(counts).toMatchObject({ entries: 45, blobs: 45 });
    expect(await contentsOf(site.folder)).toEqual(before);
  });

  /** Twenty that are bad and four that are not; by default two of each. */
  const installed = Array.from({ length: 24 }, (_, index) => index).filter(
    (index) => isHeavy || index % 20 < 2,
  );

  /** What a node makes of these blobs: their bytes, or that they are wrong. */
  async function install(url: string, folder: string): Promise<readonly boolean[]> {
    const results = [];
    for (const entry of entries.filter((_entry, index) => installed.includes(index))) {
      const output = join(folder, 'blob');
      const judged = await python(
        url,
        'download',
        '--sha512',
        entry.sha512,
        '--output',
        output,
        '--attempts',
        '1',
      );
      const isRight = sha512(await readFile(output)) === entry.sha512;
      // It never takes wrong bytes for right ones.
      expect(judged['code']).toBe(isRight ? 0 : 1);
      if (!isRight) expect(judged['error']).toMatch(/sha512|digest/i);
      results.push(isRight);
    }
    return results;
  }

  it.each(['store', 'url', 'medium'] as const)(
    'is healed from a %s, while the server goes on and no node takes a bad blob',
    async (kind) => {
      const served = await serveFrom(site.folder);
      const folder = await temporaryFolder();
      expect(await install(served.url, folder)).toEqual(installed.map((index) => index >= 20));
      const place = await placeOf(kind);
      const watch = watchServer(served.url);
      const { code, findings } = await report('--deep', '--heal-from', place);
      expect(findings.filter(({ status }) => status !== 'healed')).toEqual([]);
      expect(findings).toHaveLength(40);
      expect(code).toBe(0);
      await watch.stop();
      expect(await report('--deep')).toMatchObject({ code: 0, findings: [] });
      expect(await install(served.url, folder)).toEqual(installed.map(() => true));
      for (const { sha512: digest } of entries.slice(0, 3)) {
        const { stdout } = await promisify(execFile)('sha512sum', [join(site.root, blobName(digest))]);
        expect(stdout.slice(0, 128)).toBe(digest);
      }
      await vi.waitFor(async () => {
        for (const { softwareUrl = '' } of entries.slice(20, 40))
          expect((await fetch(`${served.url}/bdir/${keyOf({ url: softwareUrl })}`)).status).toBe(200);
      }, 10_000);
    },
  );

  async function placeOf(kind: 'store' | 'url' | 'medium'): Promise<string> {
    if (kind === 'store') return good.root;
    if (kind === 'url') return (await serveFrom(good.folder)).url;
    const medium = await temporaryFolder();
    const { code, stderr } = await runCache(good.folder, 'export', medium);
    expect(code, stderr).toBe(0);
    return medium;
  }

  /** Asks for all that is bad, again and again: it may be bad, but it's never "not found". */
  function watchServer(url: string): { readonly stop: () => Promise<void> } {
    let isDone = false as boolean;
    const running = (async () => {
      let round = 0;
      for (; !isDone; round++) {
        for (const [index, entry] of entries.slice(0, 40).entries()) {
          const path =
            index < 20 ? blobName(entry.sha512) : `bdir/${keyOf({ url: entry.softwareUrl ?? '' })}`;
          const response = await fetch(`${url}/${path}`);
          await response.arrayBuffer();
          expect([200, 500], path).toContain(response.status);
        }
      }
      return round;
    })();
    return {
      stop: async () => {
        isDone = true;
        expect(await running).toBeGreaterThan(0);
      },
    };
  }
});

describe('verify', () => {
  it('says in words what is wrong and what would help, and ends with 1', async () => {
    const [badBlob, badEntry, missing] = await addReleases(site, 4);
    if (badBlob === undefined || badEntry === undefined || missing === undefined) throw new Error('none');
    await flipBit(site.root, blobName(badBlob.sha512));
    await flipBit(site.root, nameOf(badEntry));
    await rm(join(site.root, blobName(missing.sha512)));
    await writeFile(join(site.root, 'notes.txt'), '');
    const { code, stdout, stderr } = await cache('verify', '--deep');
    expect(code).toBe(1);
    expect(stdout).toMatch(/^stray: notes\.txt: /m);
    expect(stdout).toMatch(new RegExp(`^entry-damaged: ${nameOf(badEntry)}: `, 'm'));
    expect(stdout).toMatch(
      new RegExp(
        `^blob-damaged: ${urlOf(0)}: its 60002 bytes have the sha512 [0-9a-f]{8}…\\n {2}${blobName(badBlob.sha512)}$`,
        'm',
      ),
    );
    expect(stdout).toMatch(
      new RegExp(
        `^blob-missing: ${urlOf(2)}: it is missing, and an entry names it\\n {2}${blobName(missing.sha512)}$`,
        'm',
      ),
    );
    expect(stderr).toMatch(
      new RegExp(
        `^cache: ${urlOf(0)} for ubuntu 22\\.04 x86_64-linux-gnu can't be installed: its blob is damaged or missing$`,
        'm',
      ),
    );
    expect(stderr).toMatch(
      /^to replace damaged blobs: cache verify --deep --heal-from PLACE, from a medium, a store or the URL of a cache$/m,
    );
    expect(stderr).toMatch(/4 entries, 3 blobs \(175\.8 KiB\): 4 findings\n$/);
    const quiet = await cache('verify', '-q');
    expect([quiet.code, quiet.stderr]).toEqual([1, '']);
  });

  it('ends with 0 where nothing is wrong, and tells what gc would take', async () => {
    await addReleases(site, 2);
    const { code, stdout, stderr } = await cache('verify');
    expect([code, stdout]).toEqual([0, '']);
    expect(stderr).toBe('2 entries, 2 blobs (117.2 KiB, not read: --deep reads them): nothing wrong\n');
    await site.directory.remove(
      keyOf({ url: urlOf(0) }),
      (await site.directory.digests(keyOf({ url: urlOf(0) })))[0] as never,
    );
    expect((await cache('verify', '--deep')).stderr).toMatch(
      /^1 unnamed blob \(58\.6 KiB\): uploaded without a key, or left over; remove with: cache gc --unnamed\n/,
    );
  });

  it('with --repair moves what is bad away, says what is missing then, and ends with 1', async () => {
    const [bad] = await addReleases(site, 2);
    const name = blobName(bad?.sha512 ?? ('' as never));
    await flipBit(site.root, name);
    await writeFile(join(site.root, 'notes.txt'), 'x');
    await writeFile(join(site.root, 'tmp', 'left'), 'of a dead writer');
    const wrong = await readFile(join(site.root, name));
    const { code, stdout, stderr } = await cache('verify', '--deep', '--repair');
    expect(code).toBe(1);
    expect(stderr).toMatch(/: 2 findings: 2 quarantined\n$/);
    const [, place = ''] = /^blob-damaged: .*\n {2}bcache.*\n {2}moved to (\S+)$/m.exec(stdout) ?? [];
    expect(await readFile(join(site.root, place))).toEqual(wrong);
    const after = await report('--deep');
    expect(after.findings).toMatchObject([{ kind: 'blob-missing', url: urlOf(0) }]);
    expect(after.code).toBe(1);
    const { stdout: log } = await cache('log');
    expect(log).toMatch(/repair/);
  });

  it('with --repair ends with 0 where only strays were put away', async () => {
    await addReleases(site, 1);
    await writeFile(join(site.root, 'bcache', 'foo'), 'x');
    const { code, stdout, stderr } = await cache('verify', '--repair');
    expect(stdout).toMatch(/^stray: bcache\/foo: .*\n {2}moved to quarantine\/.*\/bcache\/foo$/m);
    expect(stderr).toMatch(/: 1 finding: 1 quarantined\n$/);
    expect(code).toBe(0);
    expect(await report()).toMatchObject({ code: 0, findings: [] });
  });

  it('takes away only with --repair what killed writers left, and never keeps it', async () => {
    await addReleases(site, 1);
    const left = join(site.root, 'tmp', 'left');
    await writeFile(left, 'of a dead writer');
    await utimes(left, 0, 0);
    const found = await cache('verify');
    expect(found.stdout).toMatch(
      /^leftover: tmp\/left: a killed writer left it; the next writer removes it$/m,
    );
    expect([found.code, found.stderr]).toEqual([1, expect.not.stringContaining('--repair')]);
    const { code, stdout } = await cache('verify', '--repair');
    expect(stdout).toMatch(/^leftover: tmp\/left: .*\n {2}removed$/m);
    expect(code).toBe(0);
    expect(await readdir(join(site.root, 'tmp'))).toEqual([]);
    expect(await readdir(site.root)).not.toContain('quarantine');
  });

  it('with --repair and --heal-from leaves nothing to be done, and ends with 0', async () => {
    const good = await makeSite();
    const [bad] = await addReleases(site, 2);
    await addReleases(good, 2);
    await flipBit(site.root, blobName(bad?.sha512 ?? ('' as never)));
    await writeFile(join(site.root, 'notes.txt'), 'x');
    const both = ['--deep', '--repair', '--heal-from', good.root];
    expect((await report('--deep', '--heal-from', good.root)).code).toBe(1);
    expect((await report(...both)).code).toBe(0);
    expect(await report('--deep')).toMatchObject({ code: 0, findings: [] });
  });

  it('takes --since and --rate, and refuses what they can not be', async () => {
    const entries = await addReleases(site, 3);
    for (const entry of entries) await flipBit(site.root, blobName(entry.sha512));
    expect((await report('--deep', '--since', '1d', '--rate', '50M')).findings).toHaveLength(3);
    for (const [args, message] of [
      [['--since', 'yesterday'], /--since: not a duration: "yesterday"/],
      [['--rate', 'slow'], /--rate: not a size/],
      [['--rate', '0'], /--rate: 0 would never end/],
      [['--heal-from', 'ftp://x'], /ftp:\/\/x: no such folder, or its disk is not mounted/],
    ] as const) {
      const { code, stdout, stderr } = await cache('verify', ...args);
      expect([code, stdout], stderr).toEqual([2, '']);
      expect(stderr).toMatch(message);
    }
  });

  it('looks at a store whose store.json is damaged, and restores it', async () => {
    await addReleases(site, 1);
    await chmod(join(site.root, 'store.json'), 0o644);
    await writeFile(join(site.root, 'store.json'), '{"format"');
    expect((await cache('list')).code).toBe(3);
    expect((await report()).findings).toMatchObject([{ kind: 'mark-damaged', path: 'store.json' }]);
    expect((await cache('gc')).code).toBe(3);
    await cache('verify', '--repair');
    expect((await report()).code).toBe(0);
    expect((await cache('list')).stdout).toContain(urlOf(0));
  });

  it('ends with 3 where there is no store, or one of the future', async () => {
    await chmod(join(site.root, 'store.json'), 0o644);
    await writeFile(join(site.root, 'store.json'), '{"format": 7}');
    expect(await cache('verify', '--repair')).toMatchObject({ code: 3, stdout: '' });
    await rm(site.root, { recursive: true });
    expect(await cache('verify')).toMatchObject({ code: 3, stdout: '' });
  });
});

describe.each(['bcache', 'bdir', 'log'])('a store whose %s links to a disk that is not mounted', (name) => {
  it('is not looked at, and never repaired', async () => {
    await addReleases(site, 2);
    await rm(join(site.root, name), { recursive: true, force: true });
    await symlink(join(site.folder, 'unplugged', name), join(site.root, name));
    const before = await readdir(site.root, { recursive: true });
    for (const args of [[], ['--repair'], ['--deep', '--repair', '--json']]) {
      const { code, stderr } = await cache('verify', ...args);
      expect(stderr).toMatch(/ is a link to \S+unplugged\/\w+, which is not there; is its disk mounted\?/);
      expect(code).toBe(3);
    }
    expect(await readdir(site.root, { recursive: true })).toEqual(before);
  });
});

describe('a server with scrub-interval', () => {
  it('finds what is bad, logs it, shows it under /health, and changes nothing', async () => {
    site = await makeSite('', 'scrub-interval = 1d\n');
    const [bad] = await addReleases(site, 3);
    const name = blobName(bad?.sha512 ?? ('' as never));
    await flipBit(site.root, name);
    const wrong = await readFile(join(site.root, name));
    const served = await serveFrom(site.folder);
    await vi.waitFor(async () => {
      const health = (await (await fetch(`${served.url}/health`)).json()) as { scrub?: { findings: number } };
      expect(health).toMatchObject({ status: 'ok', scrub: { findings: 1 } });
      expect(served.log()).toMatch(/checked the store: entries: 3, blobs: 3, findings: 1/);
    }, 20_000);
    const line =
      served
        .log()
        .split('\n')
        .find((text) => text.includes('"msg":"finding"')) ?? '{}';
    expect(JSON.parse(line)).toMatchObject({
      level: 'warn',
      kind: 'blob-damaged',
      path: name,
      sha512: bad?.sha512,
    });
    expect(await readFile(join(site.root, name))).toEqual(wrong);
    const response = await fetch(`${served.url}/${name}`);
    // The tag tells what the bytes should be: whoever compares sees it.
    expect(response.headers.get('ETag')).toBe(`"${bad?.sha512 ?? ''}"`);
    expect(sha512(new Uint8Array(await response.arrayBuffer()))).not.toBe(bad?.sha512);
    served.child.kill('SIGTERM');
  });

  it('ends at once when it is told to, in the middle of a check', async () => {
    site = await makeSite('', 'scrub-interval = 1d\n');
    const writer = await site.blobs.create();
    // Ten seconds at the pace of the server.
    for (let count = 0; count < 320; count++) await writer.write([Buffer.alloc(1 << 20, count)]);
    await writer.commit();
    const served = await serveFrom(site.folder);
    await vi.waitFor(() => {
      expect(served.log()).toMatch(/checking the store/);
    }, 20_000);
    const ended = new Promise((resolve) => served.child.once('exit', resolve));
    served.child.kill('SIGTERM');
    expect(await ended).toBe(0);
    expect(served.log()).not.toMatch(/checked the store/);
  });
});
