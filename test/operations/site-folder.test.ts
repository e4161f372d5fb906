import { execFileSync } from 'node:child_process';
import { chmod, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { parseConfig } from '../../src/config/config.ts';
import { ensureSigningKey, readSigner } from '../../src/operations/signing-key.ts';
import { makeSiteFolder } from '../../src/operations/site-folder.ts';
import { contentsOf } from '../fixtures/folder-contents.ts';
import { expectCacheError } from '../fixtures/expected-error.ts';
import { asOrdinaryUser } from '../fixtures/ordinary-user.ts';
import { makePairByOpenssl } from '../fixtures/signing-keys.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';

let folder: string;
let files: { privateKeyFile: string; certificateFile: string };

beforeEach(async () => {
  folder = join(await temporaryFolder(), 'medium');
  files = {
    privateKeyFile: join(folder, 'miscellaneous', 'sign.key'),
    certificateFile: join(folder, 'miscellaneous', 'sign.crt'),
  };
});

describe('a medium', () => {
  it('has its folders, a key of its own and a configuration that finds them wherever it is mounted', async () => {
    const { made, kept } = await makeSiteFolder(folder, { commonName: 'Site of Ñandú' });
    expect(kept).toEqual([]);
    const names = [
      'software',
      'packages',
      'miscellaneous',
      'store',
      'miscellaneous/sign.key',
      'miscellaneous/sign.crt',
      'config.ini',
    ];
    expect(made).toEqual(names.map((name) => join(folder, name)));
    expect((await readdir(folder)).sort()).toEqual([
      'config.ini',
      'miscellaneous',
      'packages',
      'software',
      'store',
    ]);
    const config = parseConfig(await readFile(join(folder, 'config.ini'), 'utf8'), {
      file: '/mnt/x/config.ini',
      cwd: '/',
    });
    expect(config.store.path).toBe('/mnt/x/store');
    expect(config.signature.privateKeyFile).toBe('/mnt/x/miscellaneous/sign.key');
    expect(config.signature.certificateFile).toBe('/mnt/x/miscellaneous/sign.crt');
    const subject = execFileSync(
      'openssl',
      ['x509', '-noout', '-subject', '-nameopt', 'utf8', '-in', files.certificateFile],
      {
        encoding: 'utf8',
      },
    );
    expect(subject.trim()).toBe('subject=CN=Site of Ñandú');
  });

  it('keeps its private key to its owner, whatever the umask', async () => {
    const before = process.umask(0);
    try {
      await makeSiteFolder(folder);
    } finally {
      process.umask(before);
    }
    expect((await stat(files.privateKeyFile)).mode & 0o777).toBe(0o600);
    expect((await stat(files.certificateFile)).mode & 0o777).toBe(0o644);
    const text = execFileSync('openssl', ['rsa', '-noout', '-text', '-in', files.privateKeyFile], {
      encoding: 'utf8',
    });
    expect(text).toContain('3072 bit');
  });

  it('is never overwritten: the second time changes nothing', async () => {
    await makeSiteFolder(folder);
    await writeFile(join(folder, 'config.ini'), '# mine\n');
    await writeFile(join(folder, 'software', 'kvm.tar.gz'), 'x');
    const before = await contentsOf(folder);
    const { made, kept } = await makeSiteFolder(folder, { commonName: 'another name' });
    expect(made).toEqual([]);
    expect(kept).toHaveLength(7);
    expect(await contentsOf(folder)).toEqual(before);
  });

  it('is completed with what it lacks', async () => {
    await mkdir(join(folder, 'software'), { recursive: true });
    const { made, kept } = await makeSiteFolder(folder);
    expect(kept).toEqual([join(folder, 'software')]);
    expect(made).toHaveLength(6);
  });

  it('uses a pair that is there and fits', async () => {
    await mkdir(join(folder, 'miscellaneous'), { recursive: true });
    const pair = await makePairByOpenssl(join(folder, 'miscellaneous'), 'sign');
    await makeSiteFolder(folder);
    expect(await readFile(files.privateKeyFile, 'utf8')).toBe(pair.privateKey);
    expect(await readFile(files.certificateFile, 'utf8')).toBe(pair.certificate);
  });

  it('is not made where a file stands in the place of a folder', async () => {
    await mkdir(folder);
    await writeFile(join(folder, 'store'), 'x');
    await expectCacheError(makeSiteFolder(folder), 'config', /store is not a folder/);
    await writeFile(join(folder, 'file'), '');
    await expectCacheError(makeSiteFolder(join(folder, 'file', 'medium')), 'usage', /inside a file/);
  });

  it('is not made where nothing may be written', async () => {
    await mkdir(folder);
    await chmod(folder, 0o555);
    await asOrdinaryUser(() =>
      expectCacheError(
        makeSiteFolder(folder),
        'storage',
        /can't be written \(EACCES: permission denied for the user \S+\)/,
      ),
    );
    expect(await readdir(folder)).toEqual([]);
  });
});

describe('a signing key', () => {
  it('of which one file is missing is an error that names both', async () => {
    await ensureSigningKey(files);
    for (const [missing, there] of [
      [files.certificateFile, files.privateKeyFile],
      [files.privateKeyFile, files.certificateFile],
    ] as const) {
      const content = await readFile(missing, 'utf8');
      await rm(missing);
      const message = new RegExp(`${there} exists, but its pair .*${missing} does not; restore it`);
      await expectCacheError(ensureSigningKey(files), 'config', message);
      await expectCacheError(readSigner(files), 'config', message);
      await expectCacheError(makeSiteFolder(folder), 'config', message);
      expect(await readdir(join(folder, 'miscellaneous'))).toHaveLength(1);
      await writeFile(missing, content);
    }
    expect(await ensureSigningKey(files)).toBe(false);
  });

  it('that does not fit its certificate is an error, and neither is touched', async () => {
    await mkdir(join(folder, 'miscellaneous'), { recursive: true });
    await makePairByOpenssl(join(folder, 'miscellaneous'), 'sign');
    const other = await makePairByOpenssl(folder, 'other');
    await writeFile(files.certificateFile, other.certificate);
    const before = await contentsOf(folder);
    await expectCacheError(ensureSigningKey(files), 'config', /do not match/);
    expect(await contentsOf(folder)).toEqual(before);
  });

  it('is not there before it is made', async () => {
    expect(await readSigner(files)).toBeUndefined();
    expect(await ensureSigningKey(files)).toBe(true);
    expect((await readSigner(files))?.bits).toBe(3072);
    expect(await ensureSigningKey(files)).toBe(false);
  });

  it('that is made by two at once is that of one of them', async () => {
    const outcomes = await Promise.allSettled([ensureSigningKey(files), ensureSigningKey(files)]);
    expect(outcomes.filter(({ status }) => status === 'fulfilled').length).toBeGreaterThan(0);
    expect(await readSigner(files)).toBeDefined();
  });
});
