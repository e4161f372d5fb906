import { chmod, chown, mkdir, readFile, rename, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { readCertificateFiles } from '../../src/operations/certificate-files.ts';
import { trustCertificates } from '../../src/operations/trust-certificates.ts';
import { asOrdinaryUser } from '../fixtures/ordinary-user.ts';
import { expectCacheError } from '../fixtures/expected-error.ts';
import { contentsOf } from '../fixtures/folder-contents.ts';
import { makePairByOpenssl } from '../fixtures/signing-keys.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';

it.each<[string, (one: string, two: string) => string]>([
  ['CRLF', (one, two) => (one + two).replaceAll('\n', '\r\n')],
  ['spaces behind and before its lines', (one, two) => (one + two).replaceAll(/^(.*)$/gm, '  $1  ')],
  ['no final newline', (one, two) => (one + two).trim()],
  ['words around', (one, two) => `Certificate:\n  Data: x\n${one}\n\nand\n${two}`],
])('a file of two certificates is read with %s', async (_what, write) => {
  const folder = await temporaryFolder();
  const [one, two] = [await makePairByOpenssl(folder, 'one'), await makePairByOpenssl(folder, 'two')];
  const file = join(folder, 'both.pem');
  await writeFile(file, write(one.certificate, two.certificate));
  expect(await readCertificateFiles([file])).toEqual([one.certificate, two.certificate]);
});

it('what is trusted already is not added, and the file keeps its owner, its mode, and that it is a link', async () => {
  const folder = await temporaryFolder();
  const own = await makePairByOpenssl(folder, 'own');
  const other = await makePairByOpenssl(folder, 'other');
  const [file, target] = [join(folder, 'config.ini'), join(folder, 'elsewhere', 'config.ini')];
  await writeFile(file, `[signature]\ncertificate-file = ${own.certificateFile}\n`);
  await mkdir(join(folder, 'elsewhere'));
  await rename(file, target);
  await symlink(target, file);
  await chmod(target, 0o640);
  if (process.getuid?.() === 0) await chown(target, 12345, 54321);
  const before = await stat(target);

  const { known, added } = await trustCertificates(file, [
    own.certificate,
    other.certificate,
    other.certificate,
  ]);
  expect(known.map(({ subject }) => subject)).toEqual(['CN=own']);
  expect(added.map(({ subject }) => subject)).toEqual(['CN=other']);
  const after = await stat(target);
  expect([after.mode, after.uid, after.gid]).toEqual([before.mode, before.uid, before.gid]);
  expect(await readFile(file, 'utf8')).toContain('signature-certificate-list =\n    -----BEGIN');

  const contents = await contentsOf(folder);
  expect((await trustCertificates(file, [own.certificate, other.certificate])).added).toEqual([]);
  expect(await contentsOf(folder)).toEqual(contents);
});

it('a text that is not UTF-8, or no configuration, stays as it is', async () => {
  const folder = await temporaryFolder();
  const { certificate } = await makePairByOpenssl(folder, 'one');
  const file = join(folder, 'config.ini');
  for (const [bytes, message] of [
    [Buffer.from('# caf\xe9\n', 'latin1'), /not UTF-8/],
    [Buffer.from('path = x\n'), /before the first section/],
  ] as const) {
    await writeFile(file, bytes);
    await expectCacheError(trustCertificates(file, [certificate]), 'config', message);
    expect(await readFile(file)).toEqual(bytes);
  }
});

it.skipIf(process.getuid?.() !== 0)(
  'a file whose owner can not be kept stays as it is, and nothing is left beside it (needs root)',
  async () => {
    const folder = await temporaryFolder();
    const { certificate } = await makePairByOpenssl(folder, 'one');
    const file = join(folder, 'config.ini');
    await writeFile(file, '[signature]\n');
    await chmod(folder, 0o777);
    const before = await contentsOf(folder);
    await asOrdinaryUser(() =>
      expectCacheError(
        trustCertificates(file, [certificate]),
        'storage',
        /config\.ini: can't be written \(EPERM: permission denied for the user nobody\)/,
      ),
    );
    expect(await contentsOf(folder)).toEqual(before);
  },
);
