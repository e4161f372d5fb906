import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { digestOf } from '../../src/cache/digest.ts';
import type { Signer } from '../../src/cache/signature.ts';
import { readSigner } from '../../src/operations/signing-key.ts';
import { contentsOf } from '../fixtures/folder-contents.ts';
import { startScriptedServer } from '../fixtures/scripted-server.ts';
import { incompressible } from '../fixtures/software-release.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { ServeProcess } from '../http/serve-process.ts';
import { createTestSigner } from '../http/test-signer.ts';
import { addRelease, BOOKWORM, keyOf, makeStore, type TestStore } from '../operations/test-store.ts';
import { type CommandResult, initSite, resultOf, runCache, startCache } from './command.ts';

const KEY = keyOf();
const OTHER = 'https://example.com/other/software.cfg';

let folder: string;
let signer: Signer;
let stranger: Signer;
let from: TestStore;

beforeAll(async () => {
  signer = await createTestSigner('site');
  stranger = await createTestSigner('stranger');
});

beforeEach(async () => {
  folder = await temporaryFolder();
  await writeFile(join(folder, 'sign.crt'), signer.certificate);
  await writeFile(join(folder, 'config.ini'), '[signature]\ncertificate-file = sign.crt\n');
  from = await makeStore(join(folder, 'from'));
});

const cache = (...args: readonly string[]): Promise<CommandResult> => runCache(folder, ...args);

async function entriesIn(root: string): Promise<readonly string[]> {
  const { directory } = await makeStore(join(folder, root));
  return (await directory.entries(KEY)).map(({ sha512 }) => sha512);
}

/** A running cache to which alice, whose password is `s3cret`, may upload what the site signed. */
async function serve(prepare?: (root: string) => Promise<unknown>): Promise<ServeProcess> {
  const at = await temporaryFolder();
  const hash = createHash('sha1').update('s3cret').digest('base64');
  await writeFile(join(at, 'htpasswd'), `alice:{SHA}${hash}\n`);
  await writeFile(join(at, 'sign.crt'), signer.certificate);
  return ServeProcess.start({
    folder: at,
    config:
      '[signature]\ncertificate-file = sign.crt\n[access]\nhtpasswd-file = htpasswd\nupload-users = alice\n',
    ...(prepare === undefined ? {} : { prepare }),
  });
}

/** A running cache that never comes to the end of a blob. */
async function startSlow(): Promise<string> {
  const content = incompressible(1_000_000);
  const { pair } = await addRelease(from, signer, { content, url: OTHER });
  const slow = await startScriptedServer(({ url = '', method }, response) => {
    if (url === '/bdir/')
      response.writeHead(200, { 'Content-Type': 'text/plain' }).end(`${keyOf({ url: OTHER })}\n`);
    else if (url.startsWith('/bdir/')) response.end(JSON.stringify([pair]));
    else if (method === 'HEAD') response.end();
    else {
      response.writeHead(200, { 'Content-Length': String(content.length) });
      response.write(content.subarray(0, 300_000));
    }
  });
  return slow.url;
}

const writing = (): Promise<readonly string[]> => readdir(join(folder, 'to', 'tmp')).catch(() => []);

/** Starts `cache sync` from there and ends it by a signal in the middle of a blob. */
async function breakOff(url: string, signal: NodeJS.Signals): Promise<string> {
  const child = startCache(folder, ['sync', url, 'to']);
  const ended = resultOf(child);
  // Before its mark is there, the store may only be writing that.
  const isCopying = async () => existsSync(join(folder, 'to/store.json')) && (await writing()).length > 0;
  while (!(await isCopying()) && child.exitCode === null)
    await new Promise((resolve) => setTimeout(resolve, 20));
  child.kill(signal);
  const { stderr } = await ended;
  expect(child.signalCode).toBe(signal);
  return stderr;
}

describe('sync', () => {
  it('makes a store of what another has, and does nothing the second time', async () => {
    await addRelease(from, signer, { content: 'one' });
    await addRelease(from, signer, { content: 'two', os: BOOKWORM });
    const dry = await cache('sync', 'from', 'to', '--dry-run');
    expect(dry.stdout).toMatch(/^to-copy +ubuntu .*\nto-copy +debian 12\.4 x86_64-linux-gnu +https:/m);
    expect(dry.stderr).toBe('2 to be copied; nothing was written\n');
    expect(dry.code).toBe(0);
    expect(await readdir(folder)).not.toContain('to');
    const first = await cache('sync', 'from', 'to');
    expect(first.stdout).toMatch(/^RESULT +PLATFORM +URL OR KEY\ncopied +/);
    expect(first.stderr).toBe(`made a new store: ${join(folder, 'to')}\n2 copied\n`);
    expect(first.code).toBe(0);
    expect(await entriesIn('to')).toEqual(['two', 'one'].map(digestOf));
    const before = await contentsOf(join(folder, 'to'));
    expect(await cache('sync', 'from', 'to')).toEqual({ code: 0, stdout: '', stderr: '2 unchanged\n' });
    expect(await contentsOf(join(folder, 'to'))).toEqual(before);
    const log = await cache('sync', '--json', 'from', 'to');
    expect(JSON.parse(log.stdout)).toEqual({ counts: { unchanged: 2 }, changes: [] });
  });

  it('says which entries it does not trust, copies the others and ends with 1', async () => {
    await addRelease(from, signer, { content: 'good' });
    await addRelease(from, stranger, { content: 'bad', url: OTHER });
    const { code, stdout, stderr } = await cache('sync', 'from', 'to');
    expect(stdout).toMatch(new RegExp(`^REFUSED +ubuntu 22\\.04 x86_64-linux-gnu +${OTHER}$`, 'm'));
    expect(stderr).toMatch(new RegExp(`^cache: ${OTHER}: no trusted certificate verifies`, 'm'));
    expect(stderr).toMatch(/1 copied, 1 refused/);
    expect(code).toBe(1);
    const json = await cache('sync', '--json', 'from', 'to');
    expect(JSON.parse(json.stdout)).toMatchObject({
      counts: { unchanged: 1, refused: 1 },
      changes: [{ url: OTHER, status: 'refused' }],
    });
    expect(json.code).toBe(1);
  });

  it('ends with 2 for a source that is not there, or has no name, and makes nothing', async () => {
    const before = await contentsOf(folder);
    for (const [args, message] of [
      [['typo', 'to'], /typo: no such folder, or its disk is not mounted; name the folder of a store/],
      [
        ['from', 'missing/new/to'],
        /^cache: TO: there is no folder \S+missing\/new to make the store in; make the folder, or mount its disk$/m,
      ],
      [['', 'to'], /an empty name; name a folder or a URL/],
      [['from', ''], /an empty name; name a folder or a URL/],
    ] as const) {
      const { code, stdout, stderr } = await cache('sync', ...args);
      expect([code, stdout], stderr).toEqual([2, '']);
      expect(stderr).toMatch(message);
    }
    expect(await contentsOf(folder)).toEqual(before);
  });

  it('reads the store of what may have been a medium only when the store is named, and adds to it', async () => {
    await mkdir(join(folder, 'medium', 'software'), { recursive: true });
    await addRelease(await makeStore(join(folder, 'medium', 'store')), signer, { content: 'one' });
    for (const args of [
      ['sync', 'medium', 'to'],
      ['sync', 'medium/.', 'http://127.0.0.1:9'],
      ['verify', '-c', 'own.ini', '--heal-from', 'medium'],
    ]) {
      await makeStore(join(folder, 'own'));
      await writeFile(
        join(folder, 'own.ini'),
        `${await readFile(join(folder, 'config.ini'), 'utf8')}[store]\npath = own\n`,
      );
      const { code, stderr } = await cache(...args);
      expect(stderr).toMatch(
        /medium has no manifest\.json: the store on it is unsigned.*name it: .*medium\/store\n$/s,
      );
      expect(code).toBe(1);
    }
    await writeFile(join(folder, 'medium', 'config.ini'), '');
    expect(await cache('sync', 'medium', 'to')).toEqual({
      code: 2,
      stdout: '',
      stderr: `cache: FROM: ${join(folder, 'medium')} is the folder of a site; name its store: ${join(folder, 'medium', 'store')}\n`,
    });
    expect((await cache('sync', 'medium/store', 'to')).stderr).toBe(
      `made a new store: ${join(folder, 'to')}\n1 copied\n`,
    );
    await addRelease(from, signer, { content: 'two', os: BOOKWORM });
    expect((await cache('sync', 'from', 'medium')).stderr).toBe('1 copied\n');
    expect(await entriesIn('medium/store')).toEqual(['two', 'one'].map(digestOf));
  });

  it('reads a medium with a manifest only when it is as it was exported, and never writes to it', async () => {
    await initSite(folder, 'site', '-q');
    const keys = join(folder, 'site', 'miscellaneous');
    const site = await readSigner({
      privateKeyFile: join(keys, 'sign.key'),
      certificateFile: join(keys, 'sign.crt'),
    });
    if (site === undefined) throw new Error('init made no key');
    await addRelease(await makeStore(join(folder, 'site', 'store')), site, { content: 'one' });
    await mkdir(join(folder, 'device'));
    const config = ['-c', join('site', 'config.ini')];
    expect((await cache('export', ...config, 'device')).code).toBe(0);
    const before = await contentsOf(join(folder, 'device'));
    expect((await cache('sync', ...config, 'device', 'to')).stderr).toBe(
      `made a new store: ${join(folder, 'to')}\n1 copied\n`,
    );
    const written = await cache('sync', ...config, 'to', 'device');
    expect(written.stderr).toMatch(
      /device is a medium with a manifest.*write to it with: cache export -c .*config\.ini device$/m,
    );
    expect(written.code).toBe(2);
    expect(await contentsOf(join(folder, 'device'))).toEqual(before);
    // Another site doesn't trust who signed the manifest.
    expect((await cache('sync', 'device', 'elsewhere')).code).toBe(1);
    // Nor does one to which the signer is only an upstream's: that vouches for entries, not for media.
    const pem = site.certificate.trim().replaceAll('\n', '\n  ');
    await writeFile(
      join(folder, 'upstream.ini'),
      `[signature]\ncertificate-file = sign.crt\n[upstream]\ndownload-binary-cache-url = http://127.0.0.1:9\ndownload-binary-dir-url = http://127.0.0.1:9\nsignature-certificate-list =\n  ${pem}\n`,
    );
    const upstream = await cache('sync', '-c', 'upstream.ini', 'device', 'elsewhere');
    expect(upstream.stderr).toMatch(/signature-certificate-list/);
    expect(upstream.code).toBe(1);
    await writeFile(join(folder, 'device', 'store', 'bcache', 'a'.repeat(128)), 'stray');
    const changed = await cache('sync', ...config, 'device', 'elsewhere');
    expect(changed.stderr).toMatch(/not in the manifest/);
    expect(changed.code).toBe(1);
    expect(await readdir(folder)).not.toContain('elsewhere');
  });

  it('reads a medium whose store is named as that medium, so that it remembers it, and never writes to it', async () => {
    const keys = join(folder, 'site/miscellaneous');
    await initSite(folder, 'site', '-q');
    const [privateKeyFile, certificateFile] = [join(keys, 'sign.key'), join(keys, 'sign.crt')];
    const site = await readSigner({ privateKeyFile, certificateFile });
    if (site === undefined) throw new Error('init made no key');
    for (const medium of ['older', 'newer']) {
      await addRelease(await makeStore(join(folder, 'site/store')), site, { content: medium });
      await mkdir(join(folder, medium));
      expect((await cache('export', '-c', 'site/config.ini', medium)).code).toBe(0);
    }
    await symlink(join(folder, 'newer/store'), join(folder, 'link'));
    expect((await cache('sync', '-c', 'site/config.ini', 'link', 'to')).stderr).toMatch(/^2 copied$/m);
    for (const from of ['older', 'older/store']) {
      const { code, stderr } = await cache('sync', '-c', 'site/config.ini', from, 'to');
      expect(stderr).toMatch(/older is older than an imported medium: export 1 of .*; export 2 was imported/);
      expect(code).toBe(1);
    }
    const before = await contentsOf(join(folder, 'newer'));
    const { code, stderr } = await cache('sync', '-c', 'site/config.ini', 'from', 'newer/store');
    expect(stderr).toMatch(/newer\/store is in a medium with a manifest.* export -c \S+ \S+\/newer$/m);
    expect(code).toBe(2);
    expect(await contentsOf(join(folder, 'newer'))).toEqual(before);
    // A site may export to the disk that its own store is on.
    expect((await cache('export', '-c', 'site/config.ini', 'site')).code).toBe(0);
    await addRelease(await makeStore(join(folder, 'site/store')), site, { content: 'newest' });
    expect((await cache('sync', '-c', 'site/config.ini', 'site/store', 'to')).stderr).toMatch(/^1 copied/m);
  });

  it('from a running cache to a store, and from a store to a running cache', async () => {
    const serving = await serve(async (root) => {
      await addRelease(await makeStore(root), signer, { content: 'one' });
    });
    const base = `http://127.0.0.1:${await serving.port()}`;
    expect((await cache('sync', base, 'to')).stderr).toBe(
      `made a new store: ${join(folder, 'to')}\n1 copied\n`,
    );
    await addRelease(from, signer, { content: 'two', os: BOOKWORM });
    const nameless = await cache('sync', 'from', base);
    expect(nameless.stderr).toMatch(/answered 401 Unauthorized: a user name and password are required/);
    expect(nameless.code).toBe(1);
    const named = await cache('sync', 'from', base.replace('//', '//alice:s3cret@'));
    expect(named.stderr).toBe('1 copied\n');
    expect(named.code).toBe(0);
    expect((await cache('sync', base, 'to')).stderr).toBe('1 copied, 1 unchanged\n');
    expect(await entriesIn('to')).toEqual(['two', 'one'].map(digestOf));
    expect(serving.stderr).not.toContain('s3cret');
  });

  it('says once that a running cache can not be reached, and calls nothing of the source unreadable', async () => {
    for (const url of [OTHER, 'https://example.com/third.cfg'])
      await addRelease(from, signer, { content: url, url });
    const { code, stdout, stderr } = await cache('sync', 'from', 'http://127.0.0.1:9');
    expect(stderr).toMatch(
      /^cache: can't copy to http:\/\/127\.0\.0\.1:9\/bdir: .*can't be reached \(ECONNREFUSED\): no server listens there; start it, or correct the URL\n$/,
    );
    expect([code, stdout]).toEqual([3, '']);
    const json = await cache('sync', '--json', 'from', 'http://127.0.0.1:9');
    expect(JSON.parse(json.stdout)).toEqual({ counts: {}, changes: [] });
  });

  it.each([
    ['the entries of a key', (method: string, url: string) => method === 'GET' && url.startsWith('/bdir/')],
    ['a blob', (method: string, url: string) => method === 'PUT' && url.startsWith('/bcache/')],
    ['an entry', (method: string, url: string) => method === 'PUT' && url.startsWith('/bdir/')],
  ])('calls it a fault of the running cache that answers 500 to %s', async (_what, isFailing) => {
    await addRelease(from, signer, { content: 'one' });
    const target = await startScriptedServer((request, response) => {
      request.resume();
      const { method = '', url = '' } = request;
      // Tried again at once.
      if (isFailing(method, url)) response.writeHead(500, { 'Retry-After': '0' }).end();
      else if (method === 'PUT') request.once('end', () => response.writeHead(201).end());
      else response.writeHead(404).end();
    });
    const { code, stdout, stderr } = await cache('sync', 'from', target.url);
    expect(stdout).toMatch(/^NOT-COPIED +\S*/m);
    expect(stdout + stderr).not.toMatch(/unreadable/i);
    expect(stderr).toContain(`can't copy to ${target.url}/bdir: ${target.url}/b`);
    expect(stderr).toMatch(/1 not-copied$/m);
    expect(code).toBe(1);
  });

  it('leaves out what a running cache would make the newest', async () => {
    const serving = await serve();
    await addRelease(from, signer, { content: 'old' });
    await addRelease(from, signer, { content: 'new' });
    await cp(from.root, join(folder, 'newer'), { recursive: true });
    const newer = await makeStore(join(folder, 'newer'));
    const [, old] = await newer.directory.entries(KEY);
    if (old !== undefined) await newer.directory.remove(KEY, old.digest);
    const base = `http://alice:s3cret@127.0.0.1:${await serving.port()}`;
    await cache('sync', 'newer', base);
    const { code, stdout, stderr } = await cache('sync', 'from', base);
    expect(stdout).toMatch(/^left-out +ubuntu 22\.04/m);
    expect(stderr).toMatch(
      /older than what is there; a server would make it the newest\n1 unchanged, 1 left-out/,
    );
    expect(code).toBe(0);
  });

  it('killed in the middle goes on where it was', async () => {
    await addRelease(from, signer, { content: 'one' });
    await breakOff(await startSlow(), 'SIGKILL');
    expect((await cache('sync', 'from', 'to')).stderr).toBe('2 copied\n');
    expect(await writing()).toEqual([]);
  });

  it.each(['SIGINT', 'SIGTERM'] as const)(
    'interrupted by %s says what that means, and leaves nothing half-written',
    async (signal) => {
      const url = await startSlow();
      expect(await breakOff(url, signal)).toMatch(
        /^made a new store: .*\ncache: interrupted; finished work is kept; run the same command again to continue\n$/,
      );
      expect(await writing()).toEqual([]);
    },
  );
});

describe('wrong usage ends with 2', () => {
  it.each([
    [['from', 'from'], /FROM and TO are the same; name two places/],
    [['./from/', join('from', '..', 'from')], /FROM and TO are the same/],
    [['http://a:b@h:5050/', 'http://h:5050'], /FROM and TO are the same/],
    [['http://', 'to'], /URL: not an HTTP URL/],
    [['from'], /missing required argument 'to'/],
  ])('%j', async (args, message) => {
    const { code, stderr } = await cache('sync', ...args);
    expect(stderr).toMatch(message);
    expect(code).toBe(2);
    expect(await readdir(folder)).not.toContain('to');
  });

  it('so does a source that is no store', async () => {
    await mkdir(join(folder, 'none'));
    const { code, stderr } = await cache('sync', 'none', 'to');
    expect(stderr).toMatch(
      /FROM: .*none is neither a store nor a medium \(is its disk mounted\?\); name another folder/,
    );
    expect(code).toBe(2);
    expect(await readdir(folder)).not.toContain('to');
  });
});
