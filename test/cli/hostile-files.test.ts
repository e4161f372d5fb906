import { execFileSync } from 'node:child_process';
import { mkdir, open, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { createTestSigner } from '../http/test-signer.ts';
import { addRelease, makeStore } from '../operations/test-store.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { initSite, resultOf, runCache, startCache, type CommandResult } from './command.ts';

let folder: string;

beforeEach(async () => {
  folder = await temporaryFolder();
  await initSite(folder, 'site', '-q');
});

const at = (path: string): string => join(folder, path);

/** A pipe that nobody writes to; opening it in the ordinary way waits for ever. */
async function pipeAt(path: string): Promise<void> {
  await rm(at(path), { recursive: true, force: true });
  execFileSync('mkfifo', [at(path)]);
}

describe('a pipe in the place of a file is told, and not waited for:', () => {
  it.each([
    ['the configuration', 'site/config.ini', 'list -c site/config.ini', 2],
    ['the configuration of the folder', 'config.ini', 'list', 2],
    ['the signing key', 'site/miscellaneous/sign.key', 'inventory -c site/config.ini', 2],
    ['the certificate', 'site/miscellaneous/sign.crt', 'slapos-cfg -c site/config.ini --url http://a:1', 2],
    ['the mark of a store', 'site/store/store.json', 'list -c site/config.ini', 3],
    ['the mark of a store to verify', 'site/store/store.json', 'verify -c site/config.ini', 3],
    ['a trusted certificate', 'pipe', 'init other --trust pipe', 2],
    ['a list of URLs', 'pipe', 'check -c site/config.ini --file pipe', 2],
    ['an archive', 'a.tar.gz', 'import -c site/config.ini a.tar.gz', 2],
    ['the CA of a server', 'pipe', 'lookup pypi:a=1 --server https://127.0.0.1:9 --ca pipe', 2],
    ['the manifest of a medium', 'medium/manifest.json', 'import -c site/config.ini medium', 1],
    ['the manifest of a source', 'medium/manifest.json', 'sync -c site/config.ini medium to', 1],
    ['the mark of a source', 'medium/store.json', 'sync -c site/config.ini medium to', 3],
    ['the users of a server', 'htpasswd', 'serve -c access.ini', 2],
    ['the clients of a server', 'ca.crt', 'serve -c clients.ini', 2],
    ['the certificate of a server', 'tls.crt', 'serve -c tls.ini', 2],
    ['the CA of an LDAP server', 'ca.crt', 'serve -c ldap.ini', 2],
  ])('%s', async (_what, path, command, code) => {
    await mkdir(at('medium'));
    const store = `[store]\npath = site/store\n[server]\nlisten = 127.0.0.1:0\n`;
    await writeFile(at('tls.key'), '');
    await writeFile(at('access.ini'), `${store}[access]\nhtpasswd-file = htpasswd\n`);
    await writeFile(at('tls.ini'), `${store}tls-certificate = tls.crt\ntls-key = tls.key\n`);
    await writeFile(at('clients.ini'), `${store}tls = auto\n[access]\nclient-ca-file = ca.crt\n`);
    await writeFile(
      at('ldap.ini'),
      `${store}[access]\nldap-url = ldaps://127.0.0.1\nldap-bind-dn = uid={user},dc=x\nldap-ca-file = ca.crt\n`,
    );
    await pipeAt(path);
    const { stderr, ...result } = await runCache(folder, ...command.split(' '));
    expect(stderr).toMatch(/not a regular file|neither a file nor a folder|not a file/);
    expect(stderr).not.toMatch(/unexpected error|^\s+at /m);
    expect(result, stderr).toMatchObject({ code });
  });

  it('what an export finds on the medium, and the inventory of the other side', async () => {
    await addRelease(await makeStore(at('site/store')), await createTestSigner('x'), { content: 'one' });
    await mkdir(at('medium/miscellaneous'), { recursive: true });
    const exporting = ['export', '-c', 'site/config.ini', 'medium'];
    await pipeAt('have.json');
    const inventory = await runCache(folder, ...exporting, '--missing-from', 'have.json');
    expect(inventory).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/not a regular file/) as string,
    });
    await pipeAt('medium/manifest.json');
    const manifest = await runCache(folder, ...exporting, '--dry-run');
    expect(manifest.stderr).not.toMatch(/unexpected error/);
    await rm(at('medium/manifest.json'));
    await pipeAt('medium/export-unfinished.json');
    expect((await runCache(folder, 'import', '-c', 'site/config.ini', 'medium')).code).toBe(1);
  });
});

describe('a manifest of 252 MiB that nobody has signed', () => {
  const SIZE = 252 * 1024 * 1024;

  /** Many small values, of which each takes a hundred times its text once it is parsed. */
  async function writeManifest(start: string, piece: string, end: string): Promise<void> {
    const file = await open(at('medium/manifest.json'), 'w');
    const block = Buffer.from(piece.repeat(Math.floor((1024 * 1024) / piece.length)));
    await file.write(start);
    for (let length = 0; length < SIZE; length += block.length) await file.write(block);
    await file.write(end);
    await file.close();
  }

  /** With less memory than the parsed text would take. */
  function importMedium(): Promise<CommandResult> {
    const args = ['import', '-c', 'site/config.ini', 'medium'];
    return resultOf(startCache(folder, args, { node: ['--max-old-space-size=900'] }));
  }

  it.each([
    ['a list of lists', '[', '[[]],', '[]]', /not a JSON list of a text and its signature/],
    ['a text that is one', '["[', '[[]],', '[]]", ""]', /manifest\.json is not signed/],
    ['a text that is one, wrongly signed', '["[', '[[]],', '[]]", "c2ln"]', /does not match the text/],
  ])('is refused before it is parsed: %s', async (_what, start, piece, end, message) => {
    await mkdir(at('medium'));
    await writeManifest(start, piece, end);
    const { code, stderr } = await importMedium();
    expect(stderr).toMatch(message);
    expect(code).toBe(1);
  });
});
