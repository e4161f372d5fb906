import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { expect, it, vi } from 'vitest';
import { incompressible, makeSoftwareRelease, packRelease } from '../fixtures/software-release.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { FOLDER } from '../release/crafted-tar.ts';
import { rawFile, rawHeader } from '../release/raw-tar.ts';
import { resultOf, startCache } from './command.ts';

const MIB = 1024 * 1024;

/** As slow as an archive may be: a hundred times its size, in the slowest compression; seconds where nothing else runs. */
function slowArchive(): Buffer {
  const bzip2 = (input: Buffer): Buffer => execFileSync('bzip2', ['-c'], { input, maxBuffer: 64 * MIB });
  const zeros = bzip2(Buffer.alloc(64 * MIB));
  const size = 8 * 64 * MIB;
  return Buffer.concat([
    bzip2(rawFile(`${FOLDER}/noise`, incompressible(6 * MIB))),
    bzip2(rawHeader({ name: `${FOLDER}/zeros`, size })),
    Buffer.alloc((size / 64 / MIB) * zeros.length, zeros),
    bzip2(Buffer.alloc(1024)),
  ]);
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** The process that decompresses for another one, by its number. */
function decompressorOf(pid: number | undefined): string | undefined {
  const all = execFileSync('ps', ['-eo', 'ppid=,pid=,comm='], { encoding: 'utf8' });
  const rows = all.split('\n').map((line) => line.trim().split(/ +/));
  return rows.find(([parent, , name]) => parent === String(pid) && name === 'bzip2')?.[1];
}

/** Whether it still runs: of one that ended, and that nobody asked how, the kernel shows no command line. */
function isRunning(pid: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8') !== '';
  } catch {
    return false;
  }
}

it('an archive that takes long keeps nobody from an answer, nor the server from ending', async () => {
  const folder = await temporaryFolder();
  await writeFile(join(folder, 'slow-ubuntu-22.04.tar.bz2'), slowArchive());
  const port = await freePort();
  const server = startCache(folder, [
    'serve',
    '--listen',
    `127.0.0.1:${port}`,
    '--import',
    'slow-ubuntu-22.04.tar.bz2',
  ]);
  const result = resultOf(server);
  const ended = once(server, 'exit');
  const decompressor = await vi.waitUntil(() => decompressorOf(server.pid), 30_000);
  expect((await fetch(`http://127.0.0.1:${port}/health`)).status).toBe(200);
  expect(decompressorOf(server.pid)).toBe(decompressor);
  server.kill('SIGTERM');
  expect(await ended).toEqual([null, 'SIGTERM']);
  expect((await result).stderr).toMatch(/^cache: interrupted; finished work is kept/m);
  await vi.waitUntil(() => !isRunning(decompressor), 30_000);
});

it('of an archive that needs more memory than there is the others take no harm', async () => {
  const folder = await temporaryFolder();
  const release = await makeSoftwareRelease(join(folder, 'root'), 'https://h/software/a/software.cfg');
  await packRelease(release, join(folder, 'good-ubuntu-22.04.tar.gz'));
  const members = Array.from({ length: 300_000 }, (_, index) =>
    rawHeader({ name: `${FOLDER}/${'n'.repeat(50)}${index}` }),
  );
  await writeFile(join(folder, 'bad-ubuntu-22.04.tar.gz'), gzipSync(Buffer.concat(members), { level: 1 }));
  const small = { node: ['--max-old-space-size=40'] };
  const { stdout, stderr } = await resultOf(startCache(folder, ['import', '--dry-run', '.'], small));
  expect(stderr).toMatch(/^cache: bad-.*: inspecting it takes more memory than this machine has/m);
  expect(stdout).toMatch(/^good-ubuntu-22\.04\.tar\.gz +checked /m);
});
