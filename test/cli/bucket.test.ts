import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { appendFile, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeEach, describe, expect, it } from 'vitest';
import { keyOfSoftwareUrl } from '../../src/cache/key.ts';
import { parseBucketUrl } from '../../src/cache/bucket-url.ts';
import { createProgram } from '../../src/cli/program.ts';
import { createS3Bucket, type S3Bucket } from '../../src/storage/s3-bucket.ts';
import { useBucket } from '../fixtures/bucket.ts';
import { type Engine, hasEngine, ON_ENGINE } from '../fixtures/ceph.ts';
import { collect } from '../fixtures/collect.ts';
import { ended } from '../fixtures/ended-process.ts';
import { startFaultyProxy } from '../fixtures/faulty-proxy.ts';
import { contentsOf } from '../fixtures/folder-contents.ts';
import { sha512 } from './upkeep-site.ts';
import { makeSoftwareRelease, packRelease } from '../fixtures/software-release.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { runCache, runProcess } from './command.ts';
import { serveFrom } from './served.ts';

const run = promisify(execFile);
const urlOf = (version: number): string =>
  `https://lab.nexedi.com/nexedi/slapos/raw/1.0.${version}/software/kvm/software.cfg`;

const place = useBucket();
let engine: Engine;
/** A site with its signing key, and its store in the bucket. */
let folder: string;
let url: string;
let raw: S3Bucket;

beforeEach(async () => {
  if (!hasEngine) return;
  ({ engine, url, raw } = place);
  folder = await temporaryFolder();
  await cache('keygen', '-q');
  await writeFile(join(folder, 'config.ini'), configOf(url));
  await expectDone(cache('init', '-c', 'config.ini'));
});

const configOf = (at: string): string =>
  `[store]\nurl = ${at}\nendpoint = ${engine.endpoint}\naccess-key-id = ${engine.key.id}\nsecret-access-key = ${engine.key.secret}\n`;

/** The commands that were run. */
const ran = new Set(['serve']);
const cache = (...args: readonly string[]) => {
  ran.add(args[0] ?? '');
  return runCache(folder, ...args);
};

async function expectDone(result: ReturnType<typeof runCache>, code = 0): Promise<string> {
  const { code: found, stdout, stderr } = await result;
  expect([found, found === code ? '' : `${stderr}${stdout}`]).toEqual([code, '']);
  return stdout;
}

async function makeArchive(version: number, payload = 300_000): Promise<string> {
  const made = await makeSoftwareRelease(join(folder, 'root'), urlOf(version), { payload });
  await mkdir(join(folder, 'software'), { recursive: true });
  const archive = join(folder, 'software', `kvm-1.0.${version}-ubuntu-22.04.tar.gz`);
  await packRelease(made, archive);
  return archive;
}

async function jsonOf(...args: readonly string[]): Promise<unknown> {
  return JSON.parse(await expectDone(cache(...args, '--json')));
}

describe.skipIf(!hasEngine)(`the commands on a bucket${ON_ENGINE}`, () => {
  it('make, fill, show, verify and clean a store', async () => {
    expect(await collect(raw.list(''))).toEqual(['store.json']);
    const archive = await makeArchive(1);
    await makeArchive(2);
    expect((await expectDone(cache('import', 'software'))).match(/ imported /g)).toHaveLength(2);
    expect((await expectDone(cache('import', 'software'))).match(/ unchanged /g)).toHaveLength(2);
    const bytes = await readFile(archive);
    const digest = sha512(bytes);
    expect(await collect(raw.list('bcache/'))).toContain(`bcache/${digest}`);
    expect(await jsonOf('list')).toHaveLength(2);
    await expectDone(
      cache('lookup', urlOf(1), '--os', 'ubuntu 22.04 jammy', '--multiarch', 'x86_64-linux-gnu'),
    );
    expect(await expectDone(cache('log'))).toContain('import');
    await expectDone(cache('verify', '--deep'));
    await expectDone(
      cache('check', urlOf(1), '--os', 'ubuntu 22.04 jammy', '--multiarch', 'x86_64-linux-gnu'),
    );
    await expectDone(cache('remove', urlOf(1)));
    expect(await jsonOf('list')).toHaveLength(1);
    expect(await collect(raw.list('bcache/'))).not.toContain(`bcache/${digest}`);
    await expectDone(cache('gc'));
    expect(await collect(raw.list('tmp/'))).toEqual([]);
  });

  it('heal and repair damage', async () => {
    await expectDone(cache('import', await makeArchive(1)));
    await expectDone(cache('import', await makeArchive(2)));
    await expectDone(cache('sync', url, 'copy'));
    const [one = '', two = ''] = await collect(raw.list('bcache/'));
    for (const name of [one, two]) await raw.put(name, randomBytes(300_000));
    const found = await cache('verify', '--deep');
    expect([found.code, found.stdout.match(/damaged/g)?.length]).toEqual([1, 2]);
    await rm(join(folder, 'copy', two));
    const healed = await cache('verify', '--deep', '--heal-from', 'copy', '--repair');
    expect(healed.stdout + healed.stderr).toMatch(/healed/);
    expect((await collect(raw.list('quarantine/'))).length).toBe(2);
    expect(await collect(raw.list('bcache/'))).toEqual([one]);
    // The other one is missing now.
    await expectDone(cache('sync', url, 'after'), 1);
    expect(await readFile(join(folder, 'after', one))).toEqual(await readFile(join(folder, 'copy', one)));
  });

  it('copy to a folder, from it, and from bucket to bucket, byte by byte', async () => {
    await expectDone(cache('import', await makeArchive(1)));
    await expectDone(cache('sync', url, 'copy'));
    await expectDone(cache('sync', 'copy', `${url}-two`));
    await expectDone(cache('sync', `${url}-two`, 'again'));
    await expectDone(cache('sync', url, `${url}-two`));
    const contents = async (name: string) => {
      const all = await contentsOf(join(folder, name));
      return Object.entries(all)
        .filter(([path]) => /^(bcache|bdir)\//.test(path))
        .map(([path, text]) => [path, text.split(' ').slice(2)]);
    };
    expect(await contents('again')).toEqual(await contents('copy'));
    expect((await cache('sync', url, `${url}/`)).stderr).toMatch(/FROM and TO are the same/);
  });

  it('export to a medium, and import it', async () => {
    await expectDone(cache('import', await makeArchive(1)));
    await mkdir(join(folder, 'medium'));
    await expectDone(cache('export', 'medium'));
    expect(await jsonOf('inventory')).toBeTypeOf('object');
    const other = `${url}-other`;
    await appendFile(
      join(folder, 'other.ini'),
      `${configOf(other)}[signature]\ncertificate-file = sign.crt\nprivate-key-file = none.key\n`,
    );
    await expectDone(cache('init', '-c', 'other.ini'));
    expect(await expectDone(cache('import', '-c', 'other.ini', 'medium'))).toMatch(/^imported /m);
    expect(await jsonOf('list', '-c', 'other.ini')).toHaveLength(1);
    expect(await expectDone(cache('import', '-c', 'other.ini', 'medium'))).toMatch(/^unchanged /m);
  });

  it('pack, fetch, and answer for a server', async () => {
    const machine = ['--os', 'ubuntu 22.04 jammy', '--multiarch', 'x86_64-linux-gnu'];
    const made = await makeSoftwareRelease(join(folder, 'root'), urlOf(1), { payload: 100_000 });
    expect(await expectDone(cache('pack', made, ...machine))).toContain('imported');
    const server = (await serveFrom(folder, '-c', 'config.ini')).url;
    const other = `${url}-other`;
    await writeFile(join(folder, 'other.ini'), configOf(other));
    await expectDone(cache('init', '-c', 'other.ini'));
    const here = [urlOf(1), ...machine, '--server', server];
    await expectDone(cache('fetch', '-c', 'other.ini', ...here));
    await expectDone(cache('lookup', ...here));
    await expectDone(cache('check', '--deep', ...here));
    expect(await jsonOf('list', '-c', 'other.ini')).toHaveLength(1);
    const copy = createS3Bucket(parseBucketUrl(other), engine);
    const [name = ''] = await collect(copy.list('bcache/'));
    await copy.put(name, Buffer.from('bad'));
    expect(await expectDone(cache('verify', '-c', 'other.ini', '--deep', '--heal-from', server))).toContain(
      'healed',
    );
    expect(await collect(copy.list('quarantine/'))).toHaveLength(1);
    await expectDone(cache('verify', '-c', 'other.ini', '--deep'));
    expect(await expectDone(cache('log', '-c', 'other.ini'))).toMatch(/fetch[^]*heal/);
    expect(await expectDone(cache('slapos-cfg', '--url', server))).toContain('[networkcache]');
    expect(await expectDone(cache('trust', 'list'))).toContain('sign.crt');
    await expectDone(cache('health', '--server', server));
    // It offers the releases that it can read within a second.
    await expectDone(cache('completion', 'bash', '--', 'cache', 'remove', 'kvm'));
  });

  it('export what the other side lacks, and import what is whole of a damaged medium', async () => {
    for (const version of [1, 2]) await expectDone(cache('import', await makeArchive(version)));
    await writeFile(join(folder, 'inventory.json'), await expectDone(cache('inventory')));
    const third = await makeArchive(3);
    await expectDone(cache('import', third));
    await mkdir(join(folder, 'medium'));
    await expectDone(cache('export', 'medium', '--missing-from', 'inventory.json'));
    expect(await readdir(join(folder, 'medium/store/bcache'))).toEqual([sha512(await readFile(third))]);
    await expectDone(cache('export', 'medium'));
    await rm(join(folder, 'medium/store/bcache', sha512(await readFile(third))));
    await writeFile(join(folder, 'other.ini'), configOf(`${url}-other`));
    await expectDone(cache('init', '-c', 'other.ini'));
    await expectDone(cache('import', '-c', 'other.ini', 'medium'), 1);
    await expectDone(cache('import', '-c', 'other.ini', '--partial', 'medium'), 1);
    expect(await jsonOf('list', '-c', 'other.ini')).toHaveLength(2);
  });

  it('blame the bucket, and nothing else, when it takes no upload', async () => {
    const archive = await makeArchive(1);
    await expectDone(cache('import', archive));
    await expectDone(cache('sync', url, 'copy'));
    await mkdir(join(folder, 'medium'));
    await expectDone(cache('export', 'medium', '--no-mount-check'));
    const server = (await serveFrom(folder, '-c', 'config.ini')).url;
    const proxy = await startFaultyProxy(engine.endpoint);
    const to = `${url}-other`;
    await writeFile(join(folder, 'to.ini'), configOf(to).replace(engine.endpoint, proxy.endpoint));
    await expectDone(cache('init', '-c', 'to.ini'));
    proxy.faultOf = (request) =>
      /^PUT \S*bcache/.test(request) ? { answer: { status: 503, code: 'ServiceUnavailable' } } : undefined;
    const machine = ['--os', 'ubuntu 22.04 jammy', '--multiarch', 'x86_64-linux-gnu'];
    const outcomes: unknown[] = [];
    for (const args of [
      ['import', archive],
      ['import', 'medium'],
      ['pack', join(folder, 'root', keyOfSoftwareUrl(urlOf(1))), ...machine],
      ['fetch', urlOf(1), '--server', server, ...machine],
      ['sync', 'copy', to],
    ]) {
      const { code, stdout, stderr } = await cache(...args, '-c', 'to.ini');
      expect(stderr).toMatch(
        /^cache: .*can't write bcache\/.* answered 503 \(ServiceUnavailable\); try again later$/m,
      );
      const [said] = /REFUSED|UNREADABLE|NOT-\w+/.exec(stdout) ?? [];
      outcomes.push([args[0], code, said]);
    }
    expect(outcomes).toEqual([
      ['import', 3, undefined],
      ['import', 3, undefined],
      ['pack', 3, undefined],
      ['fetch', 3, undefined],
      ['sync', 1, 'NOT-COPIED'],
    ]);
  });

  it('gc ends the uploads of killed writers', async () => {
    const name = `tmp/${await ended()}.22`;
    await raw.put(`tmp/${await ended()}.00`, Buffer.from('x'));
    const id = await raw.beginUpload(name);
    await raw.uploadPart({ name, id }, 1, randomBytes(6_000_000));
    const left = async (): Promise<readonly unknown[]> => [
      ...(await collect(raw.list('tmp/'))),
      ...(await collect(raw.uploads(''))),
    ];
    const listed = /(^leftover .*tmp\/.*\n){2}/m;
    expect(await expectDone(cache('gc', '--dry-run'))).toMatch(listed);
    expect(await left()).toHaveLength(2);
    expect(await expectDone(cache('gc'))).toMatch(listed);
    expect(await left()).toEqual([]);
  });

  it('run several at once', async () => {
    const archives = [];
    for (const version of [1, 2, 3, 4]) archives.push(await makeArchive(version));
    await mkdir(join(folder, 'medium'));
    const running = [
      ...archives.map((archive) => ['import', archive]),
      ['gc', '--unnamed', '--allow-empty'],
      ['verify', '--deep'],
      ['list'],
      ['inventory'],
      ['log'],
    ].map((args) => runProcess(folder, ...args));
    for (const result of running) await expectDone(result);
    expect(await jsonOf('list')).toHaveLength(4);
    const [exported, copied] = await Promise.all([
      runProcess(folder, 'export', 'medium'),
      runProcess(folder, 'sync', url, `${url}-copy`),
      expectDone(runProcess(folder, 'remove', urlOf(1))),
    ]);
    // The release may go before, while or after it is exported and copied.
    for (const [{ code, stderr }, reason] of [
      [exported, `left out: ${urlOf(1)}: `],
      [copied, `cache: ${urlOf(1)}: ${url} has no blob `],
    ] as const)
      if (code !== 0) expect([code, stderr]).toEqual([1, expect.stringContaining(reason)]);
    await expectDone(cache('verify', '--deep'));
    expect(await jsonOf('list')).toHaveLength(3);
  });

  it('show the configuration without the secret', async () => {
    const { stdout } = await cache('config');
    expect(stdout).toContain(url);
    expect(stdout).not.toContain(engine.key.secret);
    expect((await cache('config', '--json')).stdout).not.toContain(engine.key.secret);
    expect((await cache('config', 'check')).stderr).toContain('no fault found');
  });

  it('refuse the store of a newer version with one line, and change nothing', async () => {
    await raw.put('store.json', Buffer.from('{"format":2}'));
    for (const args of [['list'], ['import', await makeArchive(1)], ['verify', '--repair']])
      expect(await cache(...args)).toEqual({
        ...{ code: 3, stdout: '' },
        stderr: `cache: the store ${url} has format 2; this program knows 1: use a newer one\n`,
      });
    expect(await collect(raw.list(''))).toEqual(['store.json']);
  });

  it('say in a line what is wrong, before any work', async () => {
    await writeFile(join(folder, 'config.ini'), configOf(`${url}-none`));
    const { code, stderr } = await cache('list');
    expect([code, stderr]).toEqual([
      3,
      `cache: there is no store at ${url}-none: it has no store.json; is [store] url right? To make one: cache init -c ${join(folder, 'config.ini')}\n`,
    ]);
  });

  it('are all of them', () => {
    const names = createProgram().commands.map((command) => command.name());
    const withoutStore = new Set(['help', 'version', 'health', 'completion']);
    const missing = names.filter((name) => !ran.has(name) && !withoutStore.has(name));
    expect(missing).toEqual([]);
  });
});

describe.skipIf(!hasEngine)(`two servers on a bucket${ON_ENGINE}`, () => {
  it('serve the same: look up, download, resume, and see what the other got within a second', async () => {
    const archive = await makeArchive(1, 3_000_000);
    const bytes = await readFile(archive);
    const digest = sha512(bytes);
    await appendFile(join(folder, 'config.ini'), '[access]\nanonymous = upload\n');
    const [one, two] = [
      await serveFrom(folder, '-c', 'config.ini'),
      await serveFrom(folder, '-c', 'config.ini'),
    ];
    const key = keyOfSoftwareUrl(urlOf(1));
    expect((await fetch(`${two.url}/bdir/${key}`)).status).toBe(404);
    await expectDone(cache('sync', await importedElsewhere(archive), one.url));
    // A miss is not remembered.
    const seen = await fetch(`${two.url}/bdir/${key}`);
    expect(seen.status).toBe(200);
    expect(await seen.json()).toHaveLength(1);
    for (const { url: server } of [one, two]) {
      const target = join(folder, 'got');
      await run('curl', ['-sSf', '-r', '0-999999', '-o', target, `${server}/bcache/${digest}`]);
      await run('curl', ['-sSf', '-C', '-', '-o', target, `${server}/bcache/${digest}`]);
      expect((await readFile(target)).equals(bytes)).toBe(true);
      await rm(target);
      const tail = await fetch(`${server}/bcache/${digest}`, { headers: { Range: 'bytes=-7' } });
      expect(Buffer.from(await tail.arrayBuffer()).equals(bytes.subarray(-7))).toBe(true);
      expect((await fetch(`${server}/bcache/${sha512(Buffer.from('none'))}`)).status).toBe(404);
      expect((await (await fetch(`${server}/health`)).json()) as object).toMatchObject({ status: 'ok' });
    }
    const large = randomBytes(40_000_000);
    const posted = await fetch(`${one.url}/bcache`, { method: 'POST', body: large });
    expect([posted.status, await posted.text()]).toEqual([201, sha512(large)]);
    const got = await fetch(`${two.url}/bcache/${sha512(large)}`);
    expect(Buffer.from(await got.arrayBuffer()).equals(large)).toBe(true);
    const wrong = await fetch(`${one.url}/bcache/${digest}`, { method: 'PUT', body: large });
    expect(wrong.status).toBe(400);
    expect(await collect(raw.list('tmp/'))).toEqual([]);
    expect(await collect(raw.uploads(''))).toEqual([]);
  });
});

/** A store in a folder, with the archive. */
async function importedElsewhere(archive: string): Promise<string> {
  const ini = join(folder, 'elsewhere.ini');
  await writeFile(ini, '[store]\npath = elsewhere\n');
  await expectDone(cache('init', '-c', ini));
  await expectDone(cache('import', '-c', ini, archive));
  expect(await readdir(join(folder, 'elsewhere'))).toContain('bcache');
  return 'elsewhere';
}
