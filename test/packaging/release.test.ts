import { execFile } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { initSite } from '../cli/command.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';

const run = promisify(execFile);
const REPOSITORY = join(import.meta.dirname, '../..');

it('the package of npm has the program alone, whatever else was built', async () => {
  const { stdout } = await run('npm', ['pack', '--dry-run', '--ignore-scripts', '--json'], {
    cwd: REPOSITORY,
    maxBuffer: 64 * 1024 * 1024,
  });
  const [{ files }] = JSON.parse(stdout) as readonly [
    { readonly files: readonly { readonly path: string }[] },
  ];
  const built = files.map(({ path }) => path).filter((path) => path.startsWith('dist/'));
  expect(built).toContain('dist/cli/main.js');
  expect(built.filter((path) => !path.startsWith('dist/cli/'))).toEqual([]);
});

it('the checksums of a release are signed with the key of a site, as openssl verifies', async () => {
  const folder = await temporaryFolder();
  await initSite(folder, 'site');
  const [file, certificate, key] = ['SHA512SUMS', 'sign.crt', 'sign.pub'].map((name) =>
    join(folder, name),
  ) as [string, string, string];
  const text = `${'0'.repeat(128)}  cache-linux-x64\n`;
  await writeFile(file, text);
  const sign = (config: string) =>
    run(process.execPath, ['--import', 'tsx', 'scripts/sign-checksums.ts', join(folder, config), file], {
      cwd: REPOSITORY,
    });
  await sign('site/config.ini');
  expect(await readFile(certificate, 'utf8')).toBe(
    await readFile(join(folder, 'site/miscellaneous/sign.crt'), 'utf8'),
  );
  await run('openssl', ['x509', '-in', certificate, '-noout', '-pubkey', '-out', key]);
  const verify = () => run('openssl', ['dgst', '-sha512', '-verify', key, '-signature', `${file}.sig`, file]);
  expect((await verify()).stdout).toBe('Verified OK\n');
  await writeFile(file, text.replace('0', '1'));
  await expect(verify()).rejects.toThrow();

  await mkdir(join(folder, 'none'));
  await writeFile(join(folder, 'none/config.ini'), '[store]\npath = store\n');
  await expect(sign('none/config.ini')).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringMatching(/^sign-checksums: .*: no signing key; make one with: .*\n$/) as string,
  });
});
