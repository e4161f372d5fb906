import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { keyOfSoftwareUrl } from '../../src/cache/key.ts';
import { runCache } from '../cli/command.ts';
import { createAuthority, type IssuedCertificate } from '../fixtures/certificate-authority.ts';
import { RAPID_CDN } from '../fixtures/entries.ts';
import { makePairByOpenssl, type OpensslPair } from '../fixtures/signing-keys.ts';
import { makeSoftwareRelease, packRelease } from '../fixtures/software-release.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { lacks } from './outside-programs.ts';
import { lacksDistro, pythonNode } from './python-judge.ts';
import { ServeProcess, type ServeOptions } from './serve-process.ts';

const KEY = keyOfSoftwareUrl(RAPID_CDN);

let folder: string;
let archive: string;
let signing: OpensslPair;
let clientCa: IssuedCertificate;
let builder: IssuedCertificate;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shacache-clients-'));
  archive = join(folder, 'archive.tar.gz');
  await packRelease(
    await makeSoftwareRelease(join(folder, 'root'), RAPID_CDN, { payload: 3_000_000 }),
    archive,
    {
      packer: 'python',
    },
  );
  signing = await makePairByOpenssl(folder, 'sign');
  clientCa = await createAuthority(folder, 'client-ca');
  builder = await clientCa.issue('builder', { use: 'clientAuth' });
});

afterAll(() => rm(folder, { recursive: true, force: true }));

/** `cache serve` as it is shipped. */
async function serve(
  access: string,
  options: ServeOptions = {},
): Promise<{ readonly url: string; readonly site: string }> {
  const site = await temporaryFolder();
  const config = `[signature]\ncertificate-file = ${signing.certificateFile}\n[access]\n${access}\n`;
  const process = await ServeProcess.start({
    ...options,
    folder: site,
    config: config + (options.config ?? ''),
  });
  const [url = ''] = await process.urls();
  return { url, site };
}

type Judge = (...args: readonly string[]) => Promise<Record<string, unknown>>;

/** What `slapos node software` does on the machine that compiles, and then on one that installs. */
async function expectTrip(uploader: Judge, node: Judge): Promise<void> {
  const upload = ['upload', '--url', RAPID_CDN, '--file', archive, '--sign-key', signing.keyFile, '--os'];
  expect(await uploader(...upload, 'distro')).toMatchObject({ code: 0, probe: 404 });
  // Another machine compiles it, too: its entry is the newest, and not for this machine.
  expect(await uploader(...upload, 'plan9,4,x')).toMatchObject({ code: 0, probe: 200 });
  expect(await node('lookup', '--url', RAPID_CDN)).toMatchObject({ entries: [{}, {}] });
  const { certificateFile } = signing;
  const root = await temporaryFolder();
  const install = ['install', '--url', RAPID_CDN, '--os', 'distro', '--certificate', certificateFile];
  expect(await node(...install, '--root', root)).toEqual({
    ...{ code: 0, statuses: [200], unpacked: [KEY], size: (await readFile(archive)).length },
  });
  expect(await readFile(join(root, KEY, 'buildout.cfg'), 'utf8')).toContain(RAPID_CDN);
}

const judgeOf =
  (base: string, variables: NodeJS.ProcessEnv = {}, ...options: readonly string[]): Judge =>
  (...args) =>
    pythonNode(variables, base, ...options, ...args);

describe.skipIf(lacks('openssl') || lacksDistro())('clients that are written from the protocol alone', () => {
  it('upload and install over HTTP', async () => {
    const { url } = await serve('anonymous = upload');
    await expectTrip(judgeOf(url), judgeOf(url));
  });

  it('upload and install with a name and password in the URL, and only so', async () => {
    const users = join(folder, 'htpasswd');
    const hash = createHash('sha1').update('p@ss:wörd').digest('base64');
    await writeFile(users, `builder:{SHA}${hash}\nnode:{SHA}${hash}\n`);
    const { url } = await serve(`anonymous = none\nhtpasswd-file = ${users}\nupload-users = builder`);
    const of = (name: string): Judge => judgeOf(url.replace('//', `//${name}:p%40ss%3Aw%C3%B6rd@`));
    await expectTrip(of('builder'), of('node'));
    const source = ['upload-source', '--file', signing.certificateFile];
    expect((await of('node')(...source))['error']).toMatch(/POST \/bcache: 403 node may not do this/);
    expect((await judgeOf(url)('lookup', '--url', RAPID_CDN))['error']).toMatch(/lookup: 401/);
  });

  it('over HTTPS upload with CA and certificate handed in, and install only if their Python trusts the server', async () => {
    const { url, site } = await serve(
      `anonymous = read\nclient-ca-file = ${clientCa.certificateFile}\nupload-users = builder`,
      { listen: 'https://127.0.0.1:0', config: '[server]\ntls = auto\n' },
    );
    const ca = join(site, 'server.crt');
    const client = ['--cert-file', builder.certificateFile, '--key-file', builder.keyFile];
    // As with shacache-ca-file and shadir-ca-file, which count for uploads alone.
    const uploader = judgeOf(url, {}, '--ca', ca, ...client);
    await expectTrip(uploader, judgeOf(url, { SSL_CERT_FILE: ca }));
    const bare = judgeOf(url);
    const install = ['install', '--url', RAPID_CDN, '--os', 'distro', '--root', await temporaryFolder()];
    expect(await bare(...install, '--certificate', signing.certificateFile)).toMatchObject({
      code: 1,
      error: expect.stringContaining('CERTIFICATE_VERIFY_FAILED') as string,
    });
    const source = ['upload-source', '--file', signing.certificateFile];
    expect((await judgeOf(url, {}, ...client)(...source))['error']).toContain('CERTIFICATE_VERIFY_FAILED');
    expect((await judgeOf(url, {}, '--ca', ca)(...source))['error']).toMatch(
      /403 a client certificate is required/,
    );
  });

  it('upload sources: blobs without a key that gc keeps, and several entries of one key', async () => {
    const { url, site } = await serve('anonymous = upload');
    const client = judgeOf(url);
    const upload = (content: string, ...more: readonly string[]) => {
      const file = join(folder, 'debian.qcow2');
      return writeFile(file, content).then(() => client('upload-source', '--file', file, ...more));
    };
    const image = await upload('image without key');
    expect(image).toMatchObject({ code: 0, probe: 404 });
    const key = ['--key', 'packer-images', '--sign-key', signing.keyFile];
    for (const version of ['1', '2'])
      expect(await upload(`image ${version}`, ...key, '--member', `version=${version}`)).toMatchObject({
        code: 0,
      });
    const gc = await runCache(site, 'gc', '-c', 'config.ini', '--grace', '0');
    expect([gc.code, gc.stdout]).toEqual([0, '']);
    expect(gc.stderr).toMatch(/1 unnamed blob \(17 B\) kept/);
    const output = join(folder, 'downloaded');
    const download = ['download', '--sha512', String(image['sha512']), '--output', output];
    expect(await client(...download)).toMatchObject({ code: 0, size: 17 });
    expect(await readFile(output, 'utf8')).toBe('image without key');
    const { entries } = await client('lookup', '--key', 'packer-images');
    const texts = (entries as readonly [string, string][]).map(([text]) => JSON.parse(text) as unknown);
    expect(texts).toMatchObject([{ version: '2', basename: 'debian.qcow2' }, { version: '1' }]);
    expect((await runCache(site, 'list', '-c', 'config.ini', '--sources')).stdout).toMatch(
      /^packer-images( +\S+){5} +sign +debian\.qcow2$/m,
    );
  });
});
