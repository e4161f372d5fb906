import { execFileSync } from 'node:child_process';
import { chmod, chown, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { keyOfSoftwareUrl } from '../../src/cache/key.ts';
import type { Signer } from '../../src/cache/signature.ts';
import { placeKeyPair } from '../fixtures/key-pairs.ts';
import { RAPID_CDN } from '../fixtures/entries.ts';
import { contentsOf } from '../fixtures/folder-contents.ts';
import { makePairByOpenssl, type OpensslPair } from '../fixtures/signing-keys.ts';
import { makeSoftwareRelease, packRelease } from '../fixtures/software-release.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { ServeProcess } from '../http/serve-process.ts';
import { createTestSigner } from '../http/test-signer.ts';
import { upload } from '../http/upload-client.ts';
import { addRelease, makeStore, signRelease } from '../operations/test-store.ts';
import { initSite, runCache } from './command.ts';

const KEY = keyOfSoftwareUrl(RAPID_CDN);
const OS = ['--os', 'ubuntu-22.04', '--multiarch', 'x86_64-linux-gnu'];

let upstream: Signer;

beforeAll(async () => {
  upstream = await createTestSigner('upstream');
});

/** An upstream that need not be there: what counts is whose signatures it brings. */
function upstreamSection(): string {
  const pem = upstream.certificate.trim().replaceAll('\n', '\n  ');
  return `[upstream]\ndownload-binary-cache-url = http://127.0.0.1:9\ndownload-binary-dir-url = http://127.0.0.1:9\nsignature-certificate-list =\n  ${pem}\n`;
}

describe('the certificates of [upstream]', () => {
  it('count for lookups, and allow nobody to upload', async () => {
    const folder = await temporaryFolder();
    const serve = await ServeProcess.start({
      folder,
      config: `[access]\nanonymous = upload\n${upstreamSection()}`,
      prepare: async (root) => addRelease(await makeStore(root), upstream, { content: 'one' }),
    });
    const lookup = await runCache(folder, 'lookup', RAPID_CDN, ...OS);
    expect(lookup.stdout).toMatch(/^ubuntu 22\.04 x86_64-linux-gnu +yes +yes +3 B/m);
    const place = { host: '127.0.0.1', port: await serve.port() };
    expect((await upload(place, 'two')).status).toBe(201);
    const entry = JSON.stringify(signRelease(upstream, { content: 'two' }).pair);
    const response = await upload(place, entry, { method: 'PUT', target: `/bdir/${KEY}` });
    expect(response.status).toBe(403);
    expect(response.body.toString()).toMatch(/no trusted certificate verifies/);
  });

  it('do not keep an archive that is imported from being signed by the site', async () => {
    const folder = await temporaryFolder();
    await writeFile(join(folder, 'config.ini'), `[store]\npath = store\n${upstreamSection()}`);
    await placeKeyPair(folder);
    const archive = join(folder, 'rapid-cdn-1.0.344-ubuntu-22.04.tar.gz');
    await packRelease(await makeSoftwareRelease(join(folder, 'root'), RAPID_CDN), archive);
    const store = await makeStore(join(folder, 'store'));
    await addRelease(store, upstream, { content: await readFile(archive) });
    const { stdout } = await runCache(folder, 'import', archive);
    expect(stdout).toMatch(/imported +ubuntu 22\.04/);
    expect(await store.directory.entries(KEY)).toHaveLength(2);
    expect((await runCache(folder, 'import', archive)).stdout).toMatch(/unchanged +ubuntu/);
  });
});

describe('a server from which the signing key was moved away', () => {
  it('gets no key from init, trusts whom it names, and makes an inventory', async () => {
    const folder = await temporaryFolder();
    await initSite(folder, 'other', '--common-name', 'Other');
    await initSite(folder, 'site', '--common-name', 'Moved');
    await rm(join(folder, 'site/miscellaneous/sign.key'));
    const init = await runCache(folder, 'init', 'site', '--trust', 'other/miscellaneous/sign.crt');
    expect(init).toMatchObject({ code: 0 });
    expect(init.stdout).toMatch(/^changed {2}site\/config\.ini$/m);
    expect(init.stdout).not.toMatch(/sign\./);
    expect(init.stderr).toMatch(/^trusted: "Other" .*[^]*, which has no signing key; made none\./m);
    const { code, stderr } = await runCache(folder, 'inventory', '-c', 'site/config.ini');
    expect([code, stderr]).toEqual([0, 'note: this site has no signing key: the inventory is not signed\n']);
  });
});

describe('cache trust', () => {
  const BEFORE =
    '\uFEFF# mine  \r\n[store]\r\npath = store\r\n\r\n[signature]\r\nsignature-certificate-list =\r\n';
  const AFTER = '; a word  \r\n[upload]\r\nmin-free-space = 0';
  let folder: string;
  let [one, two, own]: OpensslPair[] = [];

  const fingerprintOf = (pair: OpensslPair | undefined): string =>
    execFileSync('openssl', ['x509', '-noout', '-fingerprint', '-sha256', '-in', pair?.certificateFile ?? ''])
      .toString()
      .trim()
      .replace(/.*=/, '');
  const listed = (pair: OpensslPair | undefined): string =>
    (pair?.certificate ?? '').trim().replace(/^/gm, '  ').replaceAll('\n', '\r\n') + '\r\n';
  const trust = (...args: readonly string[]) => runCache(folder, 'trust', ...args, '-c', 'config.ini');
  const config = () => readFile(join(folder, 'config.ini'), 'utf8');

  beforeEach(async () => {
    folder = await temporaryFolder();
    one = await makePairByOpenssl(folder, 'one');
    two = await makePairByOpenssl(folder, 'two');
    own = await makePairByOpenssl(folder, 'sign');
    await writeFile(join(folder, 'config.ini'), BEFORE + listed(one) + AFTER);
  });

  it('list shows the certificates as openssl does, and where each one is', async () => {
    await writeFile(join(folder, 'config.ini'), `${BEFORE}${listed(one)}${AFTER}\n${upstreamSection()}`);
    const { code, stdout } = await trust('list');
    expect(code).toBe(0);
    expect(stdout.split('\n')).toEqual([
      fingerprintOf(own),
      `  sign, the site's own: ${join(folder, 'sign.crt')}`,
      fingerprintOf(one),
      `  one, in [signature] of ${join(folder, 'config.ini')}`,
      expect.stringMatching(/^([0-9A-F]{2}:){31}[0-9A-F]{2}$/),
      `  upstream, in [upstream] of ${join(folder, 'config.ini')}`,
      '',
    ]);
    const json = JSON.parse((await trust('list', '--json')).stdout) as unknown;
    expect(json).toMatchObject([
      { name: 'sign', fingerprint: fingerprintOf(own), from: 'own' },
      { name: 'one', fingerprint: fingerprintOf(one), from: 'signature' },
      { name: 'upstream', from: 'upstream' },
    ]);
  });

  it('add and remove change the list alone, and keep owner, mode and a link', async () => {
    const [file, target] = [join(folder, 'config.ini'), join(folder, 'real.ini')];
    await writeFile(target, await config());
    await rm(file);
    await symlink('real.ini', file);
    await chmod(target, 0o640);
    if (process.getuid?.() === 0) await chown(target, 12345, 54321);
    const { mode, uid, gid } = await stat(target);
    const both = `${one?.certificate ?? ''}${two?.certificate ?? ''}`.trim().replace(/\n/g, '  \r\n');
    await writeFile(join(folder, 'both.pem'), both);

    const dry = await trust('add', 'both.pem', '-n');
    expect(dry.stdout).toBe(
      `kept  "one" (SHA-256 ${fingerprintOf(one)})\nadded  "two" (SHA-256 ${fingerprintOf(two)})\n`,
    );
    expect(dry.stderr).toMatch(/^Dry run: nothing was changed\.$/m);
    expect(await config()).toBe(BEFORE + listed(one) + AFTER);

    const added = await trust('add', 'both.pem');
    expect([added.code, added.stdout]).toEqual([0, dry.stdout]);
    expect(await config()).toBe(BEFORE + listed(one) + listed(two) + AFTER);

    const beginning = fingerprintOf(one).slice(0, 17).toLowerCase();
    const removed = await trust('remove', beginning);
    expect([removed.code, removed.stdout]).toEqual([0, `removed  "one" (SHA-256 ${fingerprintOf(one)})\n`]);
    expect(removed.stderr).toBe(
      `Changed ${file}. Restart a running server. Each node trusts the list in its own slapos.cfg: cache slapos-cfg -c ${file} prints the new one.\n`,
    );
    expect(await config()).toBe(BEFORE + listed(two) + AFTER);
    expect((await trust('remove', '--json', 'two.crt')).stdout).toBe(
      `${JSON.stringify({ file, removed: [{ name: 'two', fingerprint: fingerprintOf(two) }], missing: [] })}\n`,
    );
    expect(await config()).toBe(BEFORE + AFTER);
    expect(await readFile(target, 'utf8')).toBe(BEFORE + AFTER);
    expect(await stat(target)).toMatchObject({ mode, uid, gid });
    expect((await trust('add', 'one.crt')).code).toBe(0);
    expect((await trust('list')).stdout).toContain(fingerprintOf(one));
  });

  it('remove ends with 1 and names what is not in the list; the rest is removed', async () => {
    const { code, stdout, stderr } = await trust('remove', 'two.crt', 'sign.crt', 'ABCD:EF12', 'one.crt');
    expect([code, stdout]).toEqual([1, `removed  "one" (SHA-256 ${fingerprintOf(one)})\n`]);
    expect(stderr.split('\n').slice(0, 3)).toEqual([
      `cache: ${fingerprintOf(two)} is not trusted here; see: cache trust list -c ${join(folder, 'config.ini')}`,
      `cache: ${fingerprintOf(own)} is the site's own; to distrust it, move the file away: ${join(folder, 'sign.crt')}`,
      `cache: ABCD:EF12 is not trusted here; see: cache trust list -c ${join(folder, 'config.ini')}`,
    ]);
    expect(await config()).toBe(BEFORE + AFTER);
  });

  it('refuses what it can not read with 2 and changes nothing', async () => {
    await writeFile(join(folder, 'empty.pem'), 'nothing');
    const before = await contentsOf(folder);
    for (const [args, message] of [
      [['add', 'missing.crt'], /^cache: missing\.crt: no such file; name a certificate in PEM$/m],
      [['add', 'one.crt', 'empty.pem'], /^cache: empty\.pem: holds no certificate in PEM$/m],
      [['remove', 'AB'], /^cache: AB: no such file; name a certificate in PEM$/m],
      [['add'], /missing required argument/],
      [[], /Usage: cache trust/],
    ] as const) {
      const { code, stdout, stderr } = await trust(...args);
      expect([code, stdout], stderr).toEqual([2, '']);
      expect(stderr).toMatch(message);
    }
    const { code, stderr } = await runCache(join(folder), 'trust', '-c', 'none.ini', 'list');
    expect([code, stderr]).toEqual([
      2,
      `cache: -c: ${join(folder, 'none.ini')} not found (is its disk mounted?)\n`,
    ]);
    const nowhere = await temporaryFolder();
    expect(await runCache(nowhere, 'trust', 'add', join(folder, 'one.crt'))).toEqual({
      code: 2,
      stdout: '',
      stderr: `cache: no config.ini found in ${nowhere}; name it with -c, or make a site: cache init DIR\n`,
    });
    expect(await contentsOf(folder)).toEqual(before);
  });
});
