import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { X509Certificate } from 'node:crypto';
import { describe, expect, it, vi } from 'vitest';
import { createStoreLog } from '../src/cache/store-log.ts';
import { parseStoredEntry } from '../src/cache/directory.ts';
import { digestOf } from '../src/cache/digest.ts';
import { parseEntry } from '../src/cache/entry.ts';
import { systemCode, throwProgrammingError } from '../src/cache/errors.ts';
import { parseKey } from '../src/cache/key.ts';
import { createTrustedCertificates } from '../src/cache/signature.ts';
import { readManifest } from '../src/operations/medium/manifest.ts';
import { originOf } from '../src/operations/medium/export-serial.ts';
import { openStorage } from './fixtures/open-storage.ts';
import { s3Error } from '../src/storage/s3-error.ts';
import { storageError } from '../src/storage/storage-error.ts';
import { faultOfConnection } from '../src/upstream/connection-fault.ts';
import { resultOf, startCache, type CommandResult } from './cli/command.ts';
import { addReleases, makeSite } from './cli/upkeep-site.ts';
import { contentsOf } from './fixtures/folder-contents.ts';
import { temporaryFolder } from './fixtures/temporary-folder.ts';
import { makeStore } from './operations/test-store.ts';

describe('a programming error', () => {
  it('is told apart from what Node says of a text that it cannot parse', () => {
    const parsers: readonly (() => unknown)[] = [
      (): unknown => JSON.parse('{'),
      () => new TextDecoder('utf-8', { fatal: true }).decode(Uint8Array.of(255)),
      () => decodeURIComponent('%'),
      () => new URL('nothing'),
      () => new X509Certificate('nothing'),
    ];
    for (const parse of parsers)
      expect(() => {
        try {
          parse();
        } catch (error) {
          throwProgrammingError(error);
        }
      }).not.toThrow();
    for (const error of [new TypeError('x is not a function'), new ReferenceError('x'), new RangeError('x')])
      expect(() => {
        throwProgrammingError(error);
      }).toThrow(error);
  });

  it('in the middle of parsing is never a word about what is parsed', async () => {
    const { storage, root } = await makeStore();
    const text = '{"format": 1}';
    for (const folder of ['exports', 'log']) await mkdir(join(root, folder));
    await writeFile(join(root, 'log/x'), `${text}\n`);
    for (const name of ['store.json', 'exports/origin']) await writeFile(join(root, name), text);
    await writeFile(join(root, 'manifest.json'), JSON.stringify([text, '']));
    const hit = new Set([text, JSON.stringify(text)]);
    const digest = digestOf('x');
    const trusted = createTrustedCertificates([]);
    const ours = new TypeError('text.isWellFormed is not a function');
    const { parse } = JSON;
    const parsing = vi.spyOn(JSON, 'parse').mockImplementation((given, reviver): unknown => {
      if (hit.has(given)) throw ours;
      return parse(given, reviver);
    });
    try {
      const acts: Readonly<Record<string, () => unknown>> = {
        entry: () => parseEntry([text, '']),
        'stored entry': () => parseStoredEntry(text, parseKey('pypi:a=1'), digest, 'bdir/x'),
        record: () => createStoreLog(storage, { who: { user: 'x', host: 'x' } }).read('log/x'),
        'store.json': () => openStorage(root, { write: false }),
        manifest: () => readManifest(root, trusted),
        origin: () => originOf(storage),
      };
      for (const [what, act] of Object.entries(acts)) {
        await expect(Promise.resolve().then(act), what).rejects.toBe(ours);
      }
    } finally {
      parsing.mockRestore();
    }
  });

  it('is no fault of the disk', () => {
    const ours = new TypeError('undefined is not iterable');
    expect(() => storageError(ours, "can't read x")).toThrow(ours);
  });

  it('is no fault of a connection, although Node gives it a code', () => {
    let ours: unknown;
    try {
      Buffer.from(1 as never);
    } catch (error) {
      ours = error;
    }
    expect(ours).toMatchObject({ code: 'ERR_INVALID_ARG_TYPE' });
    const bucket = { url: 's3://b', bucket: 'b', server: 'http://h', proxyVariable: undefined };
    expect(() => s3Error(ours, "can't read x", bucket)).toThrow(ours);
    const connection = { hasAnswered: true, proxy: undefined };
    expect(faultOfConnection(ours, 'http://h', connection)).toBe(ours);
  });
});

/** The command on a Node that lacks something. */
async function runLacking(
  folder: string,
  lacking: string,
  ...args: readonly string[]
): Promise<CommandResult> {
  const preload = join(await temporaryFolder(), 'lacking.cjs');
  await writeFile(preload, `delete ${lacking};`);
  const child = startCache(folder, args, { node: ['--require', preload] });
  return resultOf(child);
}

describe('on a Node that lacks what the program needs', () => {
  it('verify --repair finds no entry damaged, and moves none', async () => {
    const site = await makeSite();
    await addReleases(site, 2);
    const before = await contentsOf(site.root);
    const { code, stdout, stderr } = await runLacking(
      site.folder,
      'String.prototype.isWellFormed',
      'verify',
      '--repair',
    );
    expect(stderr).toMatch(
      /unexpected error; please report it:\nTypeError: .*isWellFormed is not a function/,
    );
    expect(stdout).not.toMatch(/damaged/);
    expect(code).toBe(3);
    expect(await contentsOf(site.root)).toEqual(before);
  });

  it('import says nothing of a medium being changed', async () => {
    const site = await makeSite();
    await addReleases(site, 1);
    const medium = join(site.folder, 'medium');
    await mkdir(medium);
    expect(await resultOf(startCache(site.folder, ['export', medium]))).toMatchObject({ code: 0 });
    const { code, stdout, stderr } = await runLacking(
      site.folder,
      'String.prototype.isWellFormed',
      'import',
      medium,
    );
    expect(stdout + stderr).not.toMatch(/changed|damaged/);
    expect(stderr).toMatch(/unexpected error; please report it/);
    expect(code).toBe(3);
  });
});

describe('the code of a failed system call', () => {
  it.each([
    [122, 'EDQUOT'],
    [117, 'EUCLEAN'],
    [74, 'EBADMSG'],
    [116, 'ESTALE'],
    [123, 'ENOMEDIUM'],
    [9999, 'Unknown system error -9999'],
  ])('%i, which libuv has no name for, is %s', (errno, code) => {
    const error = Object.assign(new Error('read'), { code: `Unknown system error -${errno}`, errno: -errno });
    expect(systemCode(error)).toBe(code);
  });
});
