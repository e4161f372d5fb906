import { chmod, cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { createSigner, type SignedDocument } from '../../src/cache/signature.ts';
import { contentsOf } from '../fixtures/folder-contents.ts';
import { makeSoftwareRelease, packRelease } from '../fixtures/software-release.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { runCache, type CommandResult } from './command.ts';
import { serveFrom } from './served.ts';

const FORMATS = join(import.meta.dirname, '../fixtures/formats');
const LARGE = 'https://example.com/1.0/software/large/software.cfg';
const NEW = 'https://example.com/1.0/software/new/software.cfg';
const CONFIG = ['-c', 'site/config.ini'];

let folder: string;
const at = (...names: readonly string[]): string => join(folder, ...names);
const cache = (...args: readonly string[]): Promise<CommandResult> => runCache(folder, ...args);

/** A copy of what a version wrote (scripts/make-format-fixtures.ts). */
async function copyOf(format: string): Promise<void> {
  folder = await temporaryFolder();
  await cp(join(FORMATS, format), folder, { recursive: true });
  // git keeps no other mode.
  await chmod(at('site/miscellaneous/sign.key'), 0o600);
}

async function expectDone(result: Promise<CommandResult>): Promise<string> {
  const { code, stdout, stderr } = await result;
  expect({ code, stderr }).toMatchObject({ code: 0 });
  return stdout;
}

async function makeArchive(): Promise<string> {
  const release = await makeSoftwareRelease(at('compiled'), NEW, { program: null });
  await packRelease(release, at('new-ubuntu-22.04.tar.gz'));
  return 'new-ubuntu-22.04.tar.gz';
}

/** The files of the store by path, each with its bytes. */
async function bytesOf(root: string): Promise<ReadonlyMap<string, string>> {
  const items = await readdir(root, { recursive: true, withFileTypes: true });
  const files = items.filter((item) => item.isFile()).map((item) => join(item.parentPath, item.name));
  return new Map(
    await Promise.all(files.map(async (file) => [file, await readFile(file, 'latin1')] as const)),
  );
}

describe.each(readdirSync(FORMATS))('of what a version with format %s wrote', (format) => {
  let listed: unknown;

  beforeEach(async () => {
    await copyOf(format);
    listed = JSON.parse(await readFile(at('list.json'), 'utf8'));
  });

  it('the store is read whole, and stays as it is', async () => {
    const before = await contentsOf(at('site'));
    expect(JSON.parse(await expectDone(cache('list', ...CONFIG, '--json')))).toMatchObject(listed as object);
    await expectDone(cache('verify', ...CONFIG, '--deep'));
    await expectDone(
      cache('check', ...CONFIG, '--deep', '--os', 'ubuntu-22.04', '--multiarch', 'x86_64-linux-gnu', LARGE),
    );
    await expectDone(cache('config', 'check', ...CONFIG));
    await expectDone(cache('gc', ...CONFIG, '--dry-run'));
    const actions = (await expectDone(cache('log', ...CONFIG, '--json')))
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { readonly action: string }).action);
    expect(new Set(actions)).toEqual(new Set(['import', 'export']));
    expect(await contentsOf(at('site'))).toEqual(before);
  });

  it('the store is served, and takes more without any change of its files and configuration', async () => {
    const before = await bytesOf(at('site'));
    const { url } = await serveFrom(folder, ...CONFIG);
    for (const { key } of listed as readonly { readonly key: string }[]) {
      const [entry] = (await (await fetch(`${url}/bdir/${key}`)).json()) as readonly SignedDocument[];
      const { sha512 } = JSON.parse(entry?.[0] ?? '') as { readonly sha512: string };
      expect((await fetch(`${url}/bcache/${sha512}`)).status).toBe(200);
    }
    await expectDone(cache('import', ...CONFIG, '--multiarch', 'x86_64-linux-gnu', await makeArchive()));
    const after = await bytesOf(at('site'));
    for (const [path, bytes] of before)
      if (!path.endsWith('scrub.json')) expect(after.get(path) === bytes, path).toBe(true);
    expect(JSON.parse(await expectDone(cache('list', ...CONFIG, '--json')))).toHaveLength(
      (listed as readonly unknown[]).length + 1,
    );
  });

  it('a medium is imported, and the next export continues it', async () => {
    await expectDone(
      cache(
        'init',
        'other',
        '--no-key',
        '--trust',
        'medium/miscellaneous/sign.crt',
        '--trust',
        'trusted.crt',
      ),
    );
    const other = ['-c', 'other/config.ini'];
    await expectDone(cache('import', ...other, 'medium'));
    expect(JSON.parse(await expectDone(cache('list', ...other, '--json')))).toMatchObject(
      (listed as readonly { readonly key: string }[]).map(({ key }) => ({ key })),
    );
    expect(await readFile(at('other/packages/package'), 'utf8')).toBe('a package\n');
    const serial = async (): Promise<number> => {
      const [text] = JSON.parse(await readFile(at('medium/manifest.json'), 'utf8')) as SignedDocument;
      return (JSON.parse(text) as { readonly serial: number }).serial;
    };
    const before = await serial();
    await expectDone(cache('import', ...CONFIG, '--multiarch', 'x86_64-linux-gnu', await makeArchive()));
    await expectDone(cache('export', ...CONFIG, 'medium'));
    expect(await serial()).toBe(before + 1);
    await expectDone(cache('import', ...other, 'medium'));
    expect(await expectDone(cache('list', ...other))).toContain(NEW);
  });

  it('the store remembers its media: an older one is refused', async () => {
    expect(await cache('import', ...CONFIG, 'older-medium')).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/is older than an imported medium/) as string,
    });
  });

  it('an inventory says what need not be carried', async () => {
    await mkdir(at('next'));
    const args = ['export', ...CONFIG, 'next', '--missing-from', 'have.json', '--json'];
    const { entries } = JSON.parse(await expectDone(cache(...args))) as {
      readonly entries: readonly { readonly status: string }[];
    };
    expect(new Set(entries.map(({ status }) => status))).toEqual(new Set(['present']));
  });
});

describe('of what a newer version wrote', () => {
  beforeEach(() => copyOf('1'));

  /** The text of a newer version, signed by the site. */
  async function resign(file: string, change: (content: object) => object): Promise<void> {
    const [privateKey = '', certificate = ''] = await Promise.all(
      ['sign.key', 'sign.crt'].map((name) => readFile(at('site/miscellaneous', name), 'utf8')),
    );
    const signer = createSigner({ privateKey, certificate }, { privateKey: 'key', certificate: 'crt' });
    const [text] = JSON.parse(await readFile(at(file), 'utf8')) as SignedDocument;
    const changed = JSON.stringify(change(JSON.parse(text) as object));
    await writeFile(at(file), JSON.stringify(signer.signDocument(changed)));
  }

  it.each([
    ['list'],
    ['log'],
    ['lookup', LARGE],
    ['check', LARGE],
    ['verify', '--deep', '--repair'],
    ['verify', '--heal-from', 'medium/store'],
    ['gc'],
    ['remove', LARGE],
    ['import', 'new-ubuntu-22.04.tar.gz'],
    ['import', 'medium'],
    ['export', 'next'],
    ['inventory'],
    ['sync', 'medium', 'site/store'],
    ['sync', 'site/store', 'next'],
    ['serve', '--listen', '127.0.0.1:0'],
  ])('%s %s refuses the store with one line, and changes nothing', async (command, ...args) => {
    await makeArchive();
    await mkdir(at('next'));
    await writeFile(at('site/store/store.json'), '{"format":2,"shape":"other"}');
    const before = await contentsOf(at('site'));
    expect(await cache(command, ...CONFIG, ...args)).toEqual({
      code: 3,
      stdout: '',
      stderr: `cache: the store ${at('site/store')} has format 2; this program knows 1: use a newer one\n`,
    });
    expect(await contentsOf(at('site'))).toEqual(before);
    expect(await readdir(at('next'))).toEqual([]);
  });

  it.each([[['init', 'site']], [['init', '-c', 'site/config.ini']]])(
    '%s leaves the store alone',
    async (args) => {
      await writeFile(at('site/store/store.json'), '{"format":2}');
      const before = await contentsOf(at('site/store'));
      const { code, stderr } = await cache(...args);
      expect({ code, stderr }).toMatchObject({
        code: 3,
        stderr: expect.stringMatching(
          /^cache: .*site\/store has format 2; this program knows 1: use a newer one\n$/,
        ) as string,
      });
      expect(await contentsOf(at('site/store'))).toEqual(before);
    },
  );

  it('a medium is neither imported nor written to', async () => {
    await resign('medium/manifest.json', (content) => ({ ...content, format: 2, files: 'other' }));
    const before = await contentsOf(at('medium'));
    for (const [args, code] of [
      [['import', ...CONFIG, 'medium'], 1],
      [['import', ...CONFIG, '--partial', 'medium'], 1],
      [['export', ...CONFIG, 'medium'], 1],
      [['sync', ...CONFIG, 'medium', 'next'], 1],
    ] as const) {
      const result = await cache(...args);
      expect({ args, ...result }).toMatchObject({ code });
      expect(result.stderr).toMatch(/manifest\.json has format 2; this program knows 1: use a newer one$/m);
    }
    expect(await contentsOf(at('medium'))).toEqual(before);
  });

  it('an inventory is refused', async () => {
    await resign('have.json', (content) => ({ ...content, format: 2, entries: 'other' }));
    await mkdir(at('next'));
    expect(await cache('export', ...CONFIG, 'next', '--missing-from', 'have.json')).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(
        /^cache: .*have\.json has format 2; this program knows 1: use a newer one\n$/,
      ) as string,
    });
  });

  it('a key of the configuration is named with its line', async () => {
    const file = at('site/config.ini');
    await writeFile(file, (await readFile(file, 'utf8')).replace('[store]\n', '[store]\nshape = other\n'));
    const { code, stderr } = await cache('list', ...CONFIG);
    expect({ code, stderr }).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/config\.ini.*\[store\] shape: unknown key/) as string,
    });
  });
});
