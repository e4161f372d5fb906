import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findConfigFile, loadConfig } from '../../src/config/config-file.ts';

let folder: string;
let systemFile: string;

beforeEach(async () => {
  folder = await realpath(await mkdtemp(join(tmpdir(), 'config-')));
  systemFile = join(folder, 'etc', 'config.ini');
});

afterEach(async () => {
  await rm(folder, { recursive: true });
});

async function put(name: string, content: string | Uint8Array = ''): Promise<string> {
  const file = join(folder, name);
  await mkdir(join(file, '..'), { recursive: true });
  await writeFile(file, content);
  return file;
}

describe('findConfigFile', () => {
  it('takes -c before $SHACACHE_CONFIG before ./config.ini before that of the system', async () => {
    const search = { option: 'a.ini', env: { SHACACHE_CONFIG: 'b.ini' }, cwd: folder, systemFile };
    const files = [
      await put('a.ini'),
      await put('b.ini'),
      await put('config.ini'),
      await put('etc/config.ini'),
    ];
    expect(await findConfigFile(search)).toBe(files[0]);
    expect(await findConfigFile({ ...search, option: undefined })).toBe(files[1]);
    expect(await findConfigFile({ env: { SHACACHE_CONFIG: '' }, cwd: folder, systemFile })).toBe(files[2]);
    expect(await findConfigFile({ env: {}, cwd: join(folder, 'etc', 'none'), systemFile })).toBe(files[3]);
  });

  it('finds none where none is', async () => {
    expect(await findConfigFile({ env: {}, cwd: folder, systemFile })).toBeUndefined();
  });

  it('refuses a named file that is missing, though another is there', async () => {
    await put('config.ini');
    const missing = join(folder, 'x.ini');
    await expect(findConfigFile({ option: 'x.ini', env: {}, cwd: folder })).rejects.toMatchObject({
      code: 'config',
      message: `-c: ${missing} not found (is its disk mounted?)`,
    });
    await expect(findConfigFile({ env: { SHACACHE_CONFIG: missing }, cwd: folder })).rejects.toMatchObject({
      code: 'config',
      message: `$SHACACHE_CONFIG: ${missing} not found (is its disk mounted?)`,
    });
    await expect(findConfigFile({ option: '', env: {}, cwd: folder })).rejects.toMatchObject({
      code: 'config',
      message: '-c: no path; write the path of a configuration file',
    });
  });

  it('takes no other file when one is there that it can not look at', async () => {
    await symlink('config.ini', join(folder, 'config.ini'));
    await expect(findConfigFile({ env: {}, cwd: folder, systemFile })).rejects.toMatchObject({
      code: 'config',
      message: `${join(folder, 'config.ini')}: can't be read (ELOOP: too many symbolic links)`,
    });
  });
});

describe('loadConfig', () => {
  it('reads the file that is found', async () => {
    const file = await put('conf/c.ini', '\uFEFF[store]\r\npath = größer\r\n');
    const config = await loadConfig({ option: 'conf/c.ini', env: {}, cwd: folder });
    expect(config.file).toBe(file);
    expect(config.store.path).toBe(join(folder, 'conf', 'größer'));
  });

  it('knows whether anybody named the file, or the current folder has it', async () => {
    const file = await put('config.ini', '');
    const own = await loadConfig({ env: {}, cwd: folder, systemFile });
    expect(own).toMatchObject({ file, isOfFolder: true });
    for (const named of [{ option: 'config.ini', env: {} }, { env: { SHACACHE_CONFIG: file } }])
      expect(await loadConfig({ ...named, cwd: folder })).toMatchObject({ file, isOfFolder: false });
    const system = await loadConfig({ env: {}, cwd: join(folder, 'conf'), systemFile: file });
    expect(system).toMatchObject({ file, isOfFolder: false });
    // The system's file is that of the machine, also for a person in its folder.
    const inside = await loadConfig({ env: {}, cwd: folder, systemFile: file });
    expect(inside).toMatchObject({ file, isOfFolder: false });
  });

  it('takes relative paths from the folder of the real file, behind links to the file and to its folder', async () => {
    await put('real/config.ini', '[store]\npath = ../store\n[signature]\nprivate-key-file = sign.key\n');
    await mkdir(join(folder, 'links/deep'), { recursive: true });
    await symlink('../../real/config.ini', join(folder, 'links/deep/site.ini'));
    await symlink('deep/site.ini', join(folder, 'links/config.ini'));
    await symlink('../real', join(folder, 'links/folder'));
    for (const [option, cwd] of [
      ['links/config.ini', folder],
      [undefined, join(folder, 'links')],
      ['links/folder/config.ini', folder],
    ] as const) {
      const config = await loadConfig({ option, env: {}, cwd, systemFile });
      expect(config.file).toBe(join(cwd, option ?? 'config.ini'));
      expect(config.folder).toBe(join(folder, 'real'));
      expect(config.store.path).toBe(join(folder, 'store'));
      expect(config.signature.privateKeyFile).toBe(join(folder, 'real/sign.key'));
    }
  });

  it('gives the defaults where there is no file', async () => {
    const config = await loadConfig({ env: {}, cwd: folder, systemFile });
    expect(config.file).toBeUndefined();
    expect(config.store.path).toBe(join(folder, 'cache-store'));
  });

  it('refuses a folder, and bytes that are no text', async () => {
    await expect(loadConfig({ option: '.', env: {}, cwd: folder })).rejects.toMatchObject({
      code: 'config',
      message: `${folder}: is a folder; name a file in it, such as config.ini`,
    });
    const file = await put('latin1.ini', Buffer.from('[store]\npath = gr\xf6\xdfer\n', 'latin1'));
    await expect(loadConfig({ option: file, env: {}, cwd: folder })).rejects.toMatchObject({
      code: 'config',
      message: `${file}: not UTF-8 text; save it as UTF-8`,
    });
  });
});
