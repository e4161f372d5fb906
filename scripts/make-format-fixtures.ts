import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { STORE_FORMAT } from '../src/cache/layout.ts';
import { createSigner } from '../src/cache/signature.ts';
import { makeSoftwareRelease, packRelease } from '../test/fixtures/software-release.ts';

const run = promisify(execFile);

/**
 * Makes test/fixtures/formats/N, once for each format N of the store: what this version writes, small, for all later versions to
 * read (docs/store.md). Needs dist/. The keys are for tests only. Log and records name the host and the temporary folder:
 * `unshare --mount --uts sh -c 'hostname master && mount -t tmpfs none /srv && TMPDIR=/srv npx tsx scripts/make-format-fixtures.ts'`
 *
 * `site` imported a medium of another site, `builder`, and an archive, and exported `medium`. `older-medium` is the builder's
 * first one.
 */
const target = resolve(`test/fixtures/formats/${STORE_FORMAT}`);
if (existsSync(target)) throw new Error(`${target} exists; what a version has written never changes`);
const folder = await mkdtemp(join(tmpdir(), 'shacache-formats-'));
const at = (...names: readonly string[]): string => join(folder, ...names);

await cache('init', 'builder', '--common-name', 'Builder');
await importArchive('builder', 'small', 100);
await mkdir(at('older-medium'));
await cache('export', '-c', 'builder/config.ini', 'older-medium');
await importArchive('builder', 'large', 100_000);
await upload('builder');
await mkdir(at('newer-medium'));
await cache('export', '-c', 'builder/config.ini', 'newer-medium');

await cache('init', 'site', '--common-name', 'Site', '--trust', 'builder/miscellaneous/sign.crt');
await cache('import', '-c', 'site/config.ini', 'newer-medium');
await importArchive('site', 'own', 100);
await writeFile(at('have.json'), await cache('inventory', '-c', 'site/config.ini'));
await scrub('site');
await mkdir(at('medium'));
await writeFile(at('program'), executable());
await cache('init', 'medium', '--no-key', '--trust', 'site/miscellaneous/sign.crt', '--program', 'program');
await writeFile(at('medium', 'packages', 'package'), 'a package\n');
await cache('export', '-c', 'site/config.ini', '--split', '64K', 'medium');
const releases = await cache('list', '-c', 'site/config.ini', '--json');

await mkdir(at('made'));
await writeFile(at('made', 'list.json'), releases);
for (const name of ['site', 'medium', 'older-medium', 'have.json'])
  await cp(at(name), at('made', name), { recursive: true });
await cp(at('builder', 'miscellaneous', 'sign.crt'), at('made', 'trusted.crt'));
// Archives are the same bytes as their blobs.
await rm(at('made', 'site', 'software'), { recursive: true });
await cp(at('made'), target, { recursive: true });
await rm(folder, { recursive: true });

async function cache(...args: readonly string[]): Promise<string> {
  return (await run(process.execPath, [resolve('dist/cli/main.js'), ...args], { cwd: folder })).stdout;
}

async function importArchive(site: string, name: string, payload: number): Promise<void> {
  const url = `https://example.com/1.0/software/${name}/software.cfg`;
  const release = await makeSoftwareRelease(at('compiled'), url, { program: null, payload });
  const archive = at(site, 'software', `${name}-ubuntu-22.04.tar.gz`);
  await packRelease(release, archive);
  await cache('import', '-c', `${site}/config.ini`, '--multiarch', 'x86_64-linux-gnu', archive);
}

/** A source, as clients upload it. */
async function upload(site: string): Promise<void> {
  const own = await readFile(at(site, 'config.ini'), 'utf8');
  await writeFile(at(site, 'upload.ini'), `${own}\n[access]\nanonymous = upload\n`);
  await served(`${site}/upload.ini`, async (url) => {
    const posted = await fetch(`${url}/bcache`, { method: 'POST', body: 'an egg' });
    if (posted.status !== 201) throw new Error(await posted.text());
    const [privateKey, certificate] = await Promise.all(
      ['sign.key', 'sign.crt'].map((name) => readFile(at(site, 'miscellaneous', name), 'utf8')),
    );
    const signer = createSigner(
      { privateKey: privateKey ?? '', certificate: certificate ?? '' },
      { privateKey: 'sign.key', certificate: 'sign.crt' },
    );
    const sha512 = createHash('sha512').update('an egg').digest('hex');
    const members = { sha512, basename: 'example-1.0.tar.gz', version: '1.0' };
    const answer = await fetch(`${url}/bdir/pypi:example=1.0`, {
      method: 'PUT',
      body: JSON.stringify(signer.sign(JSON.stringify(members)).pair),
    });
    if (answer.status !== 201) throw new Error(await answer.text());
  });
  await rm(at(site, 'upload.ini'));
}

/** The server's own check leaves its result. */
async function scrub(site: string): Promise<void> {
  const config = at(site, 'config.ini');
  await writeFile(
    config,
    (await readFile(config, 'utf8')).replace('[store]\n', '[store]\nscrub-interval = 7d\n'),
  );
  await served(`${site}/config.ini`, async () => {
    while (!existsSync(at(site, 'store', 'scrub.json'))) await sleep(100);
  });
}

async function served(config: string, use: (url: string) => Promise<void>): Promise<void> {
  const args = [resolve('dist/cli/main.js'), 'serve', '--json', '-c', config, '--listen', '127.0.0.1:0'];
  const server = spawn(process.execPath, args, { cwd: folder, stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise((done) => server.once('close', done));
  try {
    const line = await new Promise<string>((done, fail) => {
      server.stdout.setEncoding('utf8').once('data', done);
      server.once('close', () => {
        fail(new Error('cache serve ended'));
      });
    });
    const { urls } = JSON.parse(line) as { readonly urls: readonly string[] };
    await use(urls[0] ?? '');
  } finally {
    server.kill();
    await ended;
  }
}

/** What `cache` takes for an executable of itself, in a few bytes. */
function executable(): Buffer {
  const header = Buffer.alloc(0x80);
  header.write('\x7fELF\x02\x01', 'latin1');
  header.writeUInt16LE(0x3e, 0x12); // x86-64, see elf(5)
  return Buffer.concat([header, Buffer.from('NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2:1')]);
}
