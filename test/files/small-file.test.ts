import { execFileSync } from 'node:child_process';
import { createServer } from 'node:net';
import { readFile, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { openRegularFile, readSmallFile } from '../../src/files/small-file.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';

let folder: string;

beforeEach(async () => {
  folder = await temporaryFolder();
});

describe('a small file', () => {
  it('is read whole, also through a link, and where it tells no size', async () => {
    const path = join(folder, 'file');
    const bytes = Buffer.from('größer'.repeat(5000));
    await writeFile(path, bytes);
    await symlink('file', join(folder, 'link'));
    expect(await readSmallFile(path)).toEqual(bytes);
    expect(await readSmallFile(join(folder, 'link'), bytes.length)).toEqual(bytes);
    await writeFile(path, '');
    expect(await readSmallFile(path, 0)).toEqual(Buffer.of());
    expect(await readSmallFile('/proc/self/cmdline')).toEqual(await readFile('/proc/self/cmdline'));
  });

  it('is not read when it is larger than told, be it that it has no end', async () => {
    const path = join(folder, 'file');
    await writeFile(path, '12345');
    await expect(readSmallFile(path, 4)).rejects.toMatchObject({ code: 'larger than 4 bytes' });
    await expect(readSmallFile('/proc/self/mountinfo', 4)).rejects.toMatchObject({
      code: 'larger than 4 bytes',
    });
    await truncate(path, 2 ** 40);
    await expect(readSmallFile(path)).rejects.toMatchObject({ code: /^larger than \d+ bytes$/ });
  });

  it.each(['pipe', 'socket', '/dev/zero', '/dev/full', 'folder', 'nothing'])(
    'is not waited for where a %s stands',
    async (what) => {
      const path = what.startsWith('/') ? what : join(folder, what);
      if (what === 'pipe') execFileSync('mkfifo', [path]);
      if (what === 'folder') execFileSync('mkdir', [path]);
      if (what === 'socket') {
        const server = createServer();
        await new Promise<void>((resolve) => server.listen(path, resolve));
        onTestFinished(() => void server.close());
      }
      const code = { folder: 'EISDIR', nothing: 'ENOENT', socket: 'ENXIO' }[what] ?? 'not a regular file';
      await expect(readSmallFile(path)).rejects.toMatchObject({ code });
      await expect(openRegularFile(path)).rejects.toMatchObject({ code });
    },
  );
});
