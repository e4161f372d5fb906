import { execFile, execFileSync } from 'node:child_process';
import { appendFile, chmod, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { beforeEach, describe, expect, it } from 'vitest';
import type { SignedDocument } from '../../../src/cache/signature.ts';
import { expectCacheError } from '../../fixtures/expected-error.ts';
import { mountTmpfs } from '../../fixtures/mounts.ts';
import { temporaryFolder } from '../../fixtures/temporary-folder.ts';
import { exportTo, importAll, importWhatIsWhole, MIB, prepareTrip, type Trip } from './medium-site.ts';

const JUDGE = fileURLToPath(new URL('../../judges/check_medium.py', import.meta.url));
/** Machines of elf(5). */
const X86_64 = 0x3e;
const AARCH64 = 0xb7;

let trip: Trip;
let medium: string;

beforeEach(async () => {
  trip = await prepareTrip(await temporaryFolder());
  medium = trip.medium;
});

/** All that tells an executable of this program from other files. */
async function makeExecutable(machine: number, text = ''): Promise<string> {
  const header = Buffer.alloc(0x80);
  header.write('\x7fELF\x02\x01', 'latin1');
  header.writeUInt16LE(machine, 0x12);
  const path = join(trip.folder, `program-${machine}`);
  await writeFile(path, [header, 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2:1', text]);
  return path;
}

async function manifest(): Promise<Record<string, unknown>> {
  const [text] = JSON.parse(await readFile(join(medium, 'manifest.json'), 'utf8')) as SignedDocument;
  return JSON.parse(text) as Record<string, unknown>;
}

async function judge(): Promise<string> {
  const certificate = join(medium, 'miscellaneous', 'sign.crt');
  const { stdout } = await promisify(execFile)('python3', [JUDGE, medium, certificate]).catch(
    (error: unknown) => error as { stdout: string },
  );
  return stdout.trim();
}

describe('the program on a medium', () => {
  it('stands at its top, executable, with a text of ten lines and a config.ini that serves the medium', async () => {
    const programs = [await makeExecutable(X86_64), await makeExecutable(AARCH64)];
    await exportTo(medium, trip.connected, { programs });
    for (const [name, file] of [
      ['cache', programs[0]],
      ['cache-arm64', programs[1]],
    ] as const) {
      expect(await readFile(join(medium, name))).toEqual(await readFile(file ?? ''));
      expect((await stat(join(medium, name))).mode & 0o777).toBe(0o755);
    }
    expect((await readFile(join(medium, 'README.txt'), 'utf8')).match(/\n/g)).toHaveLength(10);
    expect(await readFile(join(medium, 'config.ini'), 'utf8')).toMatch(/^path = store$/m);
  });

  it('is in the manifest and in the checksums, and verified by an import, which copies none of it', async () => {
    await exportTo(medium, trip.connected, { programs: [await makeExecutable(X86_64)] });
    expect(await judge()).toBe('7 files, 2 releases');
    execFileSync('sha512sum', ['--check', '--strict', '--quiet', 'packages.sha512'], { cwd: medium });
    expect(await readFile(join(medium, 'packages.sha512'), 'utf8')).toMatch(/ {2}cache$/m);
    const packagesFolder = join(trip.folder, 'packages');
    expect(await importAll(medium, trip.offline, { packagesFolder })).toMatchObject({
      isWhole: true,
      packages: [],
    });
    await expect(stat(packagesFolder)).rejects.toThrow(/ENOENT/);
  });

  it.each([
    ['with other bytes', async (path: string) => writeFile(path, (await readFile(path)).fill('x'))],
    ['of another size', (path: string) => appendFile(path, 'x')],
    ['that is gone', (path: string) => rm(path)],
    ['beside which another one stands', (path: string) => writeFile(`${path}-arm64`, 'unasked')],
  ])('%s makes the medium a damaged one', async (_how, change) => {
    await exportTo(medium, trip.connected, { programs: [await makeExecutable(X86_64)] });
    await change(join(medium, 'cache'));
    await expectCacheError(importAll(medium, trip.offline), 'invalid-medium', /cache/);
    const partial = await importWhatIsWhole(medium, trip.offline);
    expect(partial.isWhole).toBe(false);
    expect(partial.results.map(({ outcome }) => outcome)).toEqual(['imported', 'imported']);
  });

  it('is replaced by the next export, and otherwise covered as it is', async () => {
    await exportTo(medium, trip.connected, { programs: [await makeExecutable(X86_64)] });
    const [first] = (await manifest())['program'] as { path: string; sha512: string }[];
    await mkdir(join(medium, 'packages'), { recursive: true });
    await writeFile(join(medium, 'packages', 'new'), 'x');
    await exportTo(medium, trip.connected);
    expect(((await manifest())['program'] as unknown[]).length).toBe(2);
    await exportTo(medium, trip.connected, { programs: [await makeExecutable(X86_64, 'newer')] });
    const after = (await manifest())['program'] as { path: string; sha512: string }[];
    expect(after.map(({ path }) => path).sort()).toEqual(['README.txt', 'cache']);
    expect(after.find(({ path }) => path === first?.path)?.path).toBeDefined();
    expect(await readFile(join(medium, 'cache'), 'latin1')).toMatch(/newer$/);
    expect(await judge()).toBe('8 files, 2 releases');
    expect(await importAll(medium, trip.offline)).toMatchObject({ isWhole: true });
  });

  it('does not count on a medium of an earlier version, whose manifest has no such member', async () => {
    await exportTo(medium, trip.connected);
    const { program, ...rest } = await manifest();
    expect(program).toEqual([]);
    await writeFile(
      join(medium, 'manifest.json'),
      JSON.stringify(trip.connected.signer.signDocument(JSON.stringify(rest))),
    );
    await writeFile(join(medium, 'cache'), 'anything');
    expect(await importAll(medium, trip.offline)).toMatchObject({ isWhole: true });
  });

  it('is left out, with a note, where only the releases have room', async (context) => {
    await mountTmpfs(context, medium, 16 * MIB);
    const program = await makeExecutable(X86_64, 'x'.repeat(15 * MIB));
    const notes: string[] = [];
    const onNote = (text: string): void => void notes.push(text);
    await exportTo(medium, trip.connected, { programs: [program], mountCheck: false, onNote });
    expect(notes.join('\n')).toMatch(/^note: the medium does not carry the program itself: no room in /m);
    expect((await readdir(medium)).sort()).toEqual(
      ['manifest.json', 'miscellaneous', 'packages', 'software', 'store'].sort(),
    );
    expect(await importAll(medium, trip.offline)).toMatchObject({ isWhole: true });
  });

  it.each([
    ['text', 'a program'],
    ['another program', '\x7fELF'.padEnd(200, '\0')],
  ])('is not taken from a file of %s', async (_what, content) => {
    const file = join(trip.folder, 'other');
    await writeFile(file, content);
    await chmod(file, 0o755);
    await expectCacheError(
      exportTo(medium, trip.connected, { programs: [file] }),
      'usage',
      /other is not an executable of this program/,
    );
  });
});
