import { hash } from 'bcryptjs';
import { execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import { SLAPD, startSlapd } from '../access/slapd.ts';
import { makeSoftwareRelease, packRelease } from '../fixtures/software-release.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { ServeProcess } from '../http/serve-process.ts';
import { ENVIRONMENT, EXECUTABLE, PROGRAM, resultOf, runCache } from './command.ts';

const run = promisify(execFile);
const MIB = 1024 * 1024;

/** The status of a lookup by alice. */
async function statusFor(serve: ServeProcess, password: string): Promise<number> {
  const url = `http://127.0.0.1:${await serve.port()}/bdir/${'0'.repeat(32)}`;
  const Authorization = `Basic ${btoa(`alice:${password}`)}`;
  return (await fetch(url, { headers: { Authorization } })).status;
}

// Only `npm run test:executable` makes it.
describe.skipIf(EXECUTABLE === undefined)('the executable', () => {
  it('is one file of at most 110 MiB', async () => {
    expect((await stat(PROGRAM[0])).size).toBeLessThanOrEqual(110 * MIB);
  });

  it('holds a Node with long-term support', async () => {
    const folder = await temporaryFolder();
    const { stdout } = await runCache(folder, 'version', '--json');
    const { node } = JSON.parse(stdout) as { node: string };
    const pinned = JSON.parse(
      await readFile(new URL('../../scripts/node/versions.json', import.meta.url), 'utf8'),
    ) as Readonly<Record<string, { readonly version: string } | undefined>>;
    expect(pinned[node.split('.')[0] ?? '']?.version).toBe(node);
    // Even majors only have it.
    expect(Number(node.split('.')[0]) % 2).toBe(0);
  });

  it('inspects archives, on a thread', async () => {
    const folder = await temporaryFolder();
    const release = await makeSoftwareRelease(join(folder, 'root'), 'https://h/software/a/software.cfg');
    await packRelease(release, join(folder, 'a-ubuntu-22.04.tar.gz'));
    const { code, stderr, stdout } = await runCache(folder, 'import', 'a-ubuntu-22.04.tar.gz');
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(stdout).toMatch(/^a-ubuntu-22\.04\.tar\.gz +imported /m);
  });

  it('checks passwords, on a thread', async () => {
    const folder = await temporaryFolder();
    await writeFile(join(folder, 'htpasswd'), `alice:${await hash('secret', 4)}\n`);
    const serve = await ServeProcess.start({
      folder,
      config: '[access]\nanonymous = none\nhtpasswd-file = htpasswd\n',
    });
    expect([await statusFor(serve, 'secret'), await statusFor(serve, 'wrong')]).toEqual([404, 401]);
  });

  it('is put on a medium by init and export, and works on it from there', async () => {
    const folder = await temporaryFolder();
    const release = await makeSoftwareRelease(join(folder, 'root'), 'https://h/software/a/software.cfg');
    await packRelease(release, join(folder, 'a-ubuntu-22.04.tar.gz'));
    const medium = join(folder, 'medium');
    await mkdir(medium);
    expect((await runCache(folder, 'init', 'site')).stdout).toMatch(/^made {2}site\/cache$/m);
    const site = ['-c', 'site/config.ini'];
    await runCache(folder, 'import', ...site, 'a-ubuntu-22.04.tar.gz');
    expect(await runCache(folder, 'export', ...site, medium)).toMatchObject({ code: 0 });
    const elsewhere = await temporaryFolder();
    const { stdout } = await resultOf(
      spawn(join(medium, 'cache'), ['list', '--json'], { cwd: elsewhere, env: ENVIRONMENT }),
    );
    expect(JSON.parse(stdout)).toMatchObject([{ url: 'https://h/software/a/software.cfg' }]);
    expect(await readdir(elsewhere)).toEqual([]);
  });

  it('asks an LDAP server, over TLS', async (context) => {
    if (!existsSync(SLAPD)) context.skip(`needs ${SLAPD}`);
    const slapd = await startSlapd(LDIF);
    onTestFinished(() => slapd.stop());
    const serve = await ServeProcess.start({
      config: `[access]
anonymous = none
ldap-url = ldaps://localhost:${slapd.tlsPort}
ldap-bind-dn = uid={user},dc=example,dc=org
ldap-ca-file = ${slapd.certificates.ca}
`,
    });
    expect([await statusFor(serve, 'secret'), await statusFor(serve, 'wrong')]).toEqual([404, 401]);
  });

  it('serves the page with its style and script, over HTTPS with a certificate that it makes', async () => {
    const serve = await ServeProcess.start({ config: '[server]\ntls = auto\n' });
    const url = `https://127.0.0.1:${await serve.port()}/`;
    const curl = async (path: string): Promise<string> => {
      const args = [
        '--cacert',
        join(serve.root, '..', 'server.crt'),
        '-H',
        'Accept: text/html',
        `${url}${path}`,
      ];
      return (await run('curl', ['-sSf', ...args])).stdout;
    };
    const page = await curl('');
    expect(page).toMatch(/^<!DOCTYPE html>/i);
    const assets = [...page.matchAll(/(?:href|src)="([^"]+\.(?:css|js))"/g)].map(([, path = '']) => path);
    expect(assets).toHaveLength(2);
    for (const path of assets) expect((await curl(path.replace(/^\.?\//, ''))).length).toBeGreaterThan(100);
  });

  it('tells version, commit and Node at /health', async () => {
    const serve = await ServeProcess.start();
    const answer = await fetch(`http://127.0.0.1:${await serve.port()}/health`);
    const { stdout } = await runCache(await temporaryFolder(), 'version', '--json');
    const { version, commit, node } = JSON.parse(stdout) as Readonly<Record<string, string>>;
    expect(await answer.json()).toMatchObject({ status: 'ok', version, commit, node });
  });
});

const LDIF = `dn: dc=example,dc=org
objectClass: domain
dc: example

dn: uid=alice,dc=example,dc=org
objectClass: inetOrgPerson
uid: alice
cn: alice
sn: alice
userPassword: secret
`;
