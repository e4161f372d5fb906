import { execFile, execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, cp, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeEach, describe, expect, it } from 'vitest';
import { blobName, entriesPrefix } from '../../../src/cache/layout.ts';
import type { ObjectStorage } from '../../../src/cache/object-storage.ts';
import type { SignedDocument } from '../../../src/cache/signature.ts';
import { openMediumRoot } from '../../../src/operations/medium/medium-root.ts';
import { makeStore } from '../../../src/storage/open-store.ts';
import { ownerTag } from '../../../src/storage/temporary-name.ts';
import { keyPairOf } from '../../fixtures/key-pairs.ts';
import { recordsIn } from '../../fixtures/store-log.ts';
import { contentsOf } from '../../fixtures/folder-contents.ts';
import { cacheErrorOf, expectCacheError } from '../../fixtures/expected-error.ts';
import { mountTmpfs, unmount } from '../../fixtures/mounts.ts';
import { asOrdinaryUser } from '../../fixtures/ordinary-user.ts';
import { signerOf } from '../../fixtures/signing-keys.ts';
import { temporaryFolder } from '../../fixtures/temporary-folder.ts';
import {
  addRelease,
  CDN,
  entriesIn,
  exportTo,
  filesOf,
  hasGoodBlob,
  importFrom,
  KVM,
  makeSite,
  MIB,
  prepareTrip,
  type MediumSite,
  type Trip,
} from './medium-site.ts';

const run = promisify(execFile);

let trip: Trip;
let medium: string;

beforeEach(async () => {
  trip = await prepareTrip(await temporaryFolder());
  medium = trip.medium;
});

/** What openssl and Python's hashlib say of the medium. */
async function judge(folder = medium, by: MediumSite = trip.connected): Promise<string> {
  const certificate = join(trip.folder, 'judge.crt');
  await writeFile(certificate, by.signer.certificate);
  const judged = await run('python3', ['test/judges/check_medium.py', folder, certificate]).catch(
    (error: unknown) => error as { stdout: string },
  );
  return judged.stdout.trim();
}

interface ManifestText {
  readonly serial: number;
  readonly origin: string;
  readonly releases: readonly Record<string, unknown>[];
  readonly files: readonly { readonly path: string; readonly size: number }[];
}

async function readManifestText(folder = medium): Promise<ManifestText> {
  const [text] = JSON.parse(await readFile(join(folder, 'manifest.json'), 'utf8')) as SignedDocument;
  return JSON.parse(text) as ManifestText;
}

async function flipBit(path: string): Promise<void> {
  await chmod(path, 0o644);
  const bytes = await readFile(path);
  const at = Math.floor(bytes.length / 2);
  bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
  await writeFile(path, bytes);
}

/** The medium is pulled out, so to speak, when so many bytes were written or read. */
function breakAfter(limit: number): { readonly onProgress: (label: string, bytes: number) => void } {
  let done = 0;
  return {
    onProgress: (_label, bytes) => {
      done += bytes;
      if (done >= limit) throw new Error('broken off');
    },
  };
}

/** Counts the bytes that are worked on. */
function counter(): { bytes: number; readonly onProgress: (label: string, bytes: number) => void } {
  const count = { bytes: 0, onProgress: (_label: string, bytes: number) => void (count.bytes += bytes) };
  return count;
}

describe('an exported medium', () => {
  it('has a store, a signed manifest of every file in it, and the certificate, as outsiders see it', async () => {
    const result = await exportTo(medium, trip.connected);
    expect(result.entries.map(({ outcome, softwareUrl }) => [outcome, softwareUrl]).sort()).toEqual([
      ['exported', CDN],
      ['exported', KVM],
    ]);
    expect(result.seal).toMatchObject({
      serial: 1,
      certificateFile: join(medium, 'miscellaneous', 'sign.crt'),
    });
    expect((await readdir(medium)).sort()).toEqual([
      ...['manifest.json', 'miscellaneous', 'packages', 'software', 'store'],
    ]);
    expect(await judge()).toBe('5 files, 2 releases');
    expect(await readFile(join(medium, 'miscellaneous', 'sign.crt'), 'utf8')).toBe(
      trip.connected.signer.certificate,
    );
    const { releases, files } = await readManifestText();
    expect(files.map(({ path }) => path)).toEqual(await filesOf(medium));
    expect(releases).toContainEqual({
      ...{ key: trip.kvm.key, url: KVM, platform: 'ubuntu 22.04 x86_64-linux-gnu' },
      ...{ sha512: trip.kvm.sha512, size: 2 * MIB + 12_345 },
    });
    await flipBit(join(medium, 'store', 'bcache', trip.cdn.sha512));
    expect(await judge()).toContain(`store/bcache/${trip.cdn.sha512}: changed`);
  });

  it('has blobs in parts where that is wished, each part with its own digest', async () => {
    await exportTo(medium, trip.connected, { split: MIB });
    expect(await judge()).toBe('7 files, 2 releases');
    const parts = (await readdir(join(medium, 'store', 'parts'))).sort();
    expect(parts).toEqual(['0001', '0002', '0003'].map((number) => `${trip.kvm.sha512}.${number}`));
    expect(await readdir(join(medium, 'store', 'bcache'))).toEqual([trip.cdn.sha512]);
    const sizes = await Promise.all(parts.map((part) => stat(join(medium, 'store', 'parts', part))));
    expect(sizes.map(({ size }) => size)).toEqual([MIB, MIB, 12_345]);
  });

  it('carries all entries of a key verbatim, in their order, sources too', async () => {
    const { site, signer } = trip.connected;
    const older = await addRelease(trip.connected, CDN, 10, {
      version: '0',
      received: new Date('2001-01-01'),
    });
    const newer = await addRelease(trip.connected, CDN, 20, { version: '2' });
    const source = signer.sign(JSON.stringify({ sha512: trip.cdn.sha512, basename: 'x-1.0.tar.gz' }));
    const key = 'pypi:x=1.0' as typeof trip.cdn.key;
    await site.directory.add(key, source);
    await exportTo(medium, trip.connected);
    await importFrom(medium, trip.offline);
    const arrived = await trip.offline.site.directory.entries(trip.cdn.key);
    expect(arrived.map(({ pair }) => pair)).toEqual([newer, trip.cdn, older].map(({ entry }) => entry.pair));
    expect(arrived.map(({ received }) => received)).toEqual(
      (await site.directory.entries(trip.cdn.key)).map(({ received }) => received),
    );
    expect((await trip.offline.site.directory.entries(key)).map(({ pair }) => pair)).toEqual([source.pair]);
  });

  it('has only what was named', async () => {
    await exportTo(medium, trip.connected, { keys: [trip.cdn.key] });
    expect((await readManifestText()).releases.map(({ url }) => url)).toEqual([CDN]);
    expect(await readdir(join(medium, 'store', 'bcache'))).toEqual([trip.cdn.sha512]);
  });

  it('is recorded, once for each release that is new to it', async () => {
    await exportTo(medium, trip.connected, { keys: [trip.cdn.key] });
    await exportTo(medium, trip.connected);
    expect(await recordsIn(trip.connected.root)).toMatchObject([
      {
        action: 'export',
        softwareUrl: CDN,
        sha512: trip.cdn.sha512,
        entry: trip.cdn.entry.digest,
        target: medium,
      },
      { action: 'export', softwareUrl: KVM, sha512: trip.kvm.sha512, size: 2 * MIB + 12_345 },
    ]);
  });

  it('is not made in a dry run', async () => {
    const [site, before] = [await contentsOf(trip.connected.root), await contentsOf(medium)];
    const { entries, bytes, seal } = await exportTo(medium, trip.connected, { signer: undefined });
    expect(entries.map(({ outcome }) => outcome)).toEqual(['planned', 'planned']);
    expect(bytes).toBeGreaterThan(2 * MIB + 112_345);
    expect(seal).toBeUndefined();
    expect(await contentsOf(medium)).toEqual(before);
    expect(await contentsOf(trip.connected.root)).toEqual(site);
  });

  it('keeps the certificate of somebody else under its name', async () => {
    const other = await keyPairOf('other');
    await mkdir(join(medium, 'miscellaneous'));
    await writeFile(join(medium, 'miscellaneous', 'sign.crt'), other.certificate);
    const { seal } = await exportTo(medium, trip.connected);
    expect(await readFile(join(medium, 'miscellaneous', 'sign.crt'), 'utf8')).toBe(other.certificate);
    expect(seal?.certificateFile).toMatch(/miscellaneous\/sign-[0-9a-f]{16}\.crt$/);
    expect(await readFile(seal?.certificateFile ?? '', 'utf8')).toBe(trip.connected.signer.certificate);
    expect((await exportTo(medium, trip.connected)).seal?.certificateFile).toBe(seal?.certificateFile);
  });

  it('can be the disk that the store itself is on', async () => {
    const inPlace = join(trip.folder, 'disk');
    await mkdir(inPlace);
    await rename(trip.connected.root, join(inPlace, 'store'));
    const site = await makeSite(inPlace, '.');
    const before = await filesOf(inPlace);
    const there = { ...site, signer: trip.connected.signer, trusted: trip.connected.trusted };
    const { entries } = await exportTo(inPlace, there);
    expect(entries.map(({ outcome }) => outcome)).toEqual(['unchanged', 'unchanged']);
    expect((await filesOf(inPlace)).filter((path) => !/\/(exports|log)\//.test(path))).toEqual(before);
    expect(await judge(inPlace)).toBe('5 files, 2 releases');
    // Its log and the like grow further, and are not carried.
    await mkdir(join(inPlace, 'store', 'log'), { recursive: true });
    for (const name of ['custody.log', 'log/x']) await writeFile(join(inPlace, 'store', name), 'x');
    expect(await importFrom(inPlace, trip.offline)).toHaveLength(2);
  });
});

describe('what can not be exported is left out with the reason', () => {
  it('when nobody trusted has signed it', async () => {
    const stranger = signerOf(await keyPairOf('stranger'));
    await addRelease(trip.connected, 'https://example.com/strange.cfg', 10, { by: stranger });
    const { entries } = await exportTo(medium, trip.connected);
    expect(entries.filter(({ outcome }) => outcome === 'refused')).toMatchObject([
      {
        softwareUrl: 'https://example.com/strange.cfg',
        reason: expect.stringMatching(/no certificate that is trusted/) as string,
      },
    ]);
    expect(await judge()).toBe('5 files, 2 releases');
  });

  it('when its blob is missing', async () => {
    await trip.connected.site.blobs.remove(trip.kvm.sha512);
    const { entries } = await exportTo(medium, trip.connected);
    expect(entries.find(({ softwareUrl }) => softwareUrl === KVM)).toMatchObject({
      outcome: 'refused',
      reason: expect.stringContaining(`no blob ${trip.kvm.sha512}`) as string,
    });
    expect((await readManifestText()).releases.map(({ url }) => url)).toEqual([CDN]);
  });

  it.each([
    ['whole', undefined],
    ['in parts', MIB],
  ])('when its blob has gone bad, carried %s: nothing of it is signed', async (_how, split) => {
    await flipBit(join(trip.connected.root, blobName(trip.kvm.sha512)));
    const { entries } = await exportTo(medium, trip.connected, { split });
    expect(entries.find(({ softwareUrl }) => softwareUrl === KVM)).toMatchObject({
      outcome: 'refused',
      reason: expect.stringMatching(
        new RegExp(`^blob ${trip.kvm.sha512} of the store is damaged: .*; see: cache verify --deep$`),
      ) as string,
    });
    expect(await judge()).toBe('3 files, 1 releases');
    expect(await importFrom(medium, trip.offline)).toHaveLength(1);
  });

  it('and when that is all, the medium stays as it is', async () => {
    await trip.connected.site.blobs.remove(trip.kvm.sha512);
    const { entries, seal } = await exportTo(medium, trip.connected, { keys: [trip.kvm.key] });
    expect(entries.map(({ outcome }) => outcome)).toEqual(['refused']);
    expect(seal).toBeUndefined();
    expect(await readdir(medium)).toEqual([]);
  });
});

describe('the number of an export', () => {
  it('counts up, also over exports that fail and media', async () => {
    const other = join(trip.folder, 'other');
    await mkdir(other);
    expect((await exportTo(medium, trip.connected)).seal?.serial).toBe(1);
    expect((await exportTo(other, trip.connected)).seal?.serial).toBe(2);
    await expect(exportTo(other, trip.connected, { ...breakAfter(0), recheck: true })).rejects.toThrow(
      'broken off',
    );
    const { seal } = await exportTo(medium, trip.connected);
    expect(seal?.serial).toBeGreaterThan(2);
    expect((await readManifestText()).origin).toBe((await readManifestText(other)).origin);
  });

  it('is given once, to however many at once', async () => {
    const media = ['a', 'b', 'c', 'd', 'e', 'f'].map((name) => join(trip.folder, name));
    await Promise.all(media.map((folder) => mkdir(folder)));
    await exportTo(medium, trip.connected);
    const results = await Promise.all(media.map((folder) => exportTo(folder, trip.connected)));
    const serials = results.map(({ seal }) => seal?.serial);
    expect(new Set(serials).size).toBe(media.length);
    expect(serials).not.toContain(1);
  });

  it('goes on from that of the medium when the store was restored from an old copy', async () => {
    await exportTo(medium, trip.connected);
    const old = join(trip.folder, 'old');
    await cp(trip.connected.root, old, { recursive: true });
    await exportTo(medium, trip.connected);
    await exportTo(medium, trip.connected);
    await rm(trip.connected.root, { recursive: true });
    await rename(old, trip.connected.root);
    expect((await exportTo(medium, trip.connected)).seal?.serial).toBe(4);
  });
});

describe('an export that was broken off', () => {
  it('leaves a medium that no import takes, and goes on from there', async () => {
    await expect(exportTo(medium, trip.connected, breakAfter(1.5 * MIB))).rejects.toThrow('broken off');
    await expectCacheError(
      importFrom(medium, trip.offline),
      'invalid-medium',
      /has no manifest\.json: the export did not finish; .*run the same cache export again/,
    );
    const { entries } = await exportTo(medium, trip.connected);
    expect(entries.map(({ outcome }) => outcome)).toContain('exported');
    expect(await judge()).toBe('5 files, 2 releases');
    expect(await readdir(join(medium, 'store', 'tmp'))).toEqual([]);
    expect(await importFrom(medium, trip.offline)).toHaveLength(2);
  });

  it('writes no part again that is there and right, and rewrites a damaged one', async () => {
    // After two parts of the larger blob, and the smaller blob if that comes first.
    await expect(
      exportTo(medium, trip.connected, { ...breakAfter(2 * MIB + 110_000), split: MIB }),
    ).rejects.toThrow('broken off');
    const part = (number: string): string => join(medium, 'store', 'parts', `${trip.kvm.sha512}.${number}`);
    const first = await stat(part('0001'));
    await flipBit(part('0002'));
    await exportTo(medium, trip.connected, { split: MIB });
    expect((await stat(part('0001'))).ino).toBe(first.ino);
    expect(await judge()).toBe('7 files, 2 releases');
  });

  it('of more releases than the manifest on the medium tells is refused by an import, with the reason', async () => {
    await exportTo(medium, trip.connected, { keys: [trip.cdn.key] });
    await expect(exportTo(medium, trip.connected, breakAfter(2 * MIB + 20_000))).rejects.toThrow(
      'broken off',
    );
    const error = await cacheErrorOf(importFrom(medium, trip.offline));
    expect(error.message).toMatch(
      /bcache.*: not in the manifest\n[^]*An export to it did not finish\..*run the same cache export again/,
    );
    expect(await entriesIn(trip.offline)).toEqual([]);
    await exportTo(medium, trip.connected);
    expect(await importFrom(medium, trip.offline)).toHaveLength(2);
  });

  it('before it wrote anything leaves the medium as good as it was', async () => {
    await exportTo(medium, trip.connected, { keys: [trip.cdn.key] });
    await expect(exportTo(medium, trip.connected, breakAfter(1))).rejects.toThrow('broken off');
    expect(await readdir(medium)).toContain('export-unfinished.json');
    expect(await importFrom(medium, trip.offline)).toHaveLength(1);
  });

  it('with other parts is not taken for done, and the message names them', async () => {
    await expect(
      exportTo(medium, trip.connected, { ...breakAfter(1.5 * MIB), split: MIB / 2 }),
    ).rejects.toThrow('broken off');
    await expectCacheError(
      exportTo(medium, trip.connected),
      'invalid-medium',
      /store\/parts\/\w+\.0001: left by an export that did not finish, of another release or with another --split/,
    );
    await exportTo(medium, trip.connected, { split: MIB / 2 });
    expect(await importFrom(medium, trip.offline)).toHaveLength(2);
  });
});

describe('what is on a medium already', () => {
  it('stays, is vouched for, and is not read again', async () => {
    await exportTo(medium, trip.connected, { keys: [trip.kvm.key] });
    const count = counter();
    const { entries } = await exportTo(medium, trip.connected, { keys: [trip.cdn.key], ...count });
    expect(entries.map(({ outcome }) => outcome)).toEqual(['exported']);
    expect(count.bytes).toBeLessThan(MIB / 2);
    expect(await judge()).toBe('5 files, 2 releases');
  });

  it('is read, and then vouched for, when it has no manifest or one that does not count', async () => {
    await exportTo(medium, trip.connected, { keys: [trip.kvm.key] });
    for (const [change, note] of [
      [() => rm(join(medium, 'manifest.json')), /^$/],
      [
        () => writeFile(join(medium, 'manifest.json'), '["x", "eA=="]'),
        /does not count.*changed after signing/,
      ],
    ] as const) {
      await change();
      const count = counter();
      const notes: string[] = [];
      await exportTo(medium, trip.connected, {
        ...{ keys: [trip.cdn.key], ...count, onNote: (text: string) => notes.push(text) },
      });
      expect(count.bytes).toBeGreaterThan(2 * MIB);
      expect(notes.filter((text) => !text.includes('nothing is mounted')).join('\n')).toMatch(note);
      expect(await judge()).toBe('5 files, 2 releases');
    }
  });

  it('is rewritten from the store where it is damaged: what no manifest covers always, the rest with --recheck', async () => {
    await exportTo(medium, trip.connected);
    await flipBit(join(medium, 'store', 'bcache', trip.kvm.sha512));
    await exportTo(medium, trip.connected);
    expect(await judge()).toContain('changed');
    const { bytes, rewritten } = await exportTo(medium, trip.connected, { recheck: true });
    expect(await judge()).toBe('5 files, 2 releases');
    const { size } = await stat(join(medium, 'store', 'bcache', trip.kvm.sha512));
    expect({ bytes, rewritten }).toEqual({ bytes: size, rewritten: 1 });

    await flipBit(join(medium, 'store', 'bcache', trip.kvm.sha512));
    await rm(join(medium, 'manifest.json'));
    await exportTo(medium, trip.connected);
    expect(await judge()).toBe('5 files, 2 releases');
  });

  it('is rewritten where an entry or a part is damaged, with parts of the size that they had', async () => {
    await exportTo(medium, trip.connected, { split: MIB });
    await flipBit(join(medium, 'store', 'parts', `${trip.kvm.sha512}.0002`));
    await flipBit(join(medium, 'store', entriesPrefix(trip.cdn.key), trip.cdn.entry.digest));
    const { bytes, rewritten } = await exportTo(medium, trip.connected, { recheck: true });
    expect(await judge()).toBe('7 files, 2 releases');
    expect(bytes).toBeGreaterThan(MIB);
    expect(bytes).toBeLessThan(MIB + 10_000);
    expect(rewritten).toBe(2);
  });

  it('is not vouched for where it is damaged and can not be had: all of it is named, nothing is changed', async () => {
    await exportTo(medium, trip.connected);
    await trip.connected.site.directory.remove(trip.kvm.key, trip.kvm.entry.digest);
    await flipBit(join(medium, 'store', 'bcache', trip.kvm.sha512));
    await flipBit(join(medium, 'store', entriesPrefix(trip.kvm.key), trip.kvm.entry.digest));
    await rm(join(medium, 'manifest.json'));
    const before = await contentsOf(medium);
    const error = await cacheErrorOf(exportTo(medium, trip.connected));
    expect(error.message).toMatch(/store\/bcache\/\w+: its bytes are not those that were written/);
    expect(error.message).toMatch(/store\/bdir\/\w+\/\w+: /);
    expect(error.message).toMatch(/or use another medium/);
    expect(error.code).toBe('invalid-medium');
    expect(await contentsOf(medium)).toEqual(before);
  });

  it('and was removed is noticed; without the manifest it counts as removed on purpose', async () => {
    await exportTo(medium, trip.connected);
    await trip.connected.site.directory.remove(trip.kvm.key, trip.kvm.entry.digest);
    await rm(join(medium, 'store', entriesPrefix(trip.kvm.key)), { recursive: true });
    await rm(join(medium, 'store', 'bcache', trip.kvm.sha512));
    await expectCacheError(
      exportTo(medium, trip.connected),
      'invalid-medium',
      /bcache\/\w+: missing\n[^]*bdir.*: missing\n[^]*remove manifest\.json, too/,
    );
    await rm(join(medium, 'manifest.json'));
    await exportTo(medium, trip.connected);
    expect(await judge()).toBe('3 files, 1 releases');
  });

  it('and is of a signer whom nobody trusts here is not vouched for', async () => {
    const stranger = await makeSite(trip.folder, 'stranger');
    await addRelease(stranger, 'https://example.com/strange.cfg', 10);
    await exportTo(medium, stranger);
    await expectCacheError(
      exportTo(medium, trip.connected),
      'invalid-medium',
      /bdir.*: no certificate that is trusted here verifies it; move it elsewhere/,
    );
  });

  it.each(['store/notes.txt', 'store/bcache/.DS_Store', `store/bdir/${'f'.repeat(32)}/x`])(
    'and does not belong into a store is named: %s',
    async (name) => {
      await exportTo(medium, trip.connected);
      await mkdir(join(medium, name, '..'), { recursive: true });
      await writeFile(join(medium, name), 'x');
      await expectCacheError(
        exportTo(medium, trip.connected),
        'invalid-medium',
        new RegExp(`${name}: does not belong into a store; move it elsewhere`),
      );
    },
  );
});

describe('a medium that fails', () => {
  /** Spoils a file as soon as it is there, before it's read back. */
  function spoiling(path: string): { readonly onProgress: (label: string, bytes: number) => void } {
    let isSpoiled = false;
    return {
      onProgress: () => {
        if (isSpoiled || !existsSync(path)) return;
        isSpoiled = true;
        execFileSync('python3', ['-c', SPOIL, path]);
      },
    };
  }

  const SPOIL = `
import sys, os
os.chmod(sys.argv[1], 0o644)
with open(sys.argv[1], 'r+b') as file:
    file.seek(1000)
    byte = file.read(1)
    file.seek(1000)
    file.write(bytes([byte[0] ^ 1]))
    file.flush()
    os.fsync(file.fileno())
`;

  it('is found out when what was written is read back; nothing is signed', async () => {
    const path = join(medium, 'store', 'bcache', trip.cdn.sha512);
    await expectCacheError(
      exportTo(medium, trip.connected, spoiling(path)),
      'storage',
      new RegExp(
        `is failing; use another one:\\n {2}store/bcache/${trip.cdn.sha512}: what is read back is not what was`,
      ),
    );
    expect(await readdir(medium)).not.toContain('manifest.json');
    await exportTo(medium, trip.connected);
    expect(await judge()).toBe('5 files, 2 releases');
  });

  it('is found out by the import when nothing is read back', async () => {
    const path = join(medium, 'store', 'bcache', trip.cdn.sha512);
    await exportTo(medium, trip.connected, { ...spoiling(path), verify: false });
    expect(await readdir(medium)).toContain('manifest.json');
    await expectCacheError(
      importFrom(medium, trip.offline),
      'invalid-medium',
      /^ {2}\S+, \S+ \S+ \S+: blob changed \(store\/bcache\/[0-9a-f]{8}…\)$/m,
    );
  });
});

describe('the room on a medium', () => {
  it('is looked at before anything is written; both figures are told', async (context) => {
    await mountTmpfs(context, medium, 10 * MIB);
    const error = await cacheErrorOf(exportTo(medium, trip.connected));
    expect(error.message).toMatch(
      /no room in .*: needs 2\.\d MiB and must keep 8\.0 MiB in reserve for its file system; 10\.0 MiB is free;/,
    );
    expect(error.code).toBe('no-space');
    expect(await readdir(medium)).toEqual([]);
  });

  it('that runs out in the middle is told; with more of it the export goes on', async (context) => {
    await mountTmpfs(context, medium, 12 * MIB);
    const filler = join(medium, 'filler');
    let done = 0;
    const fill = (_label: string, bytes: number): void => {
      done += bytes;
      if (done < MIB || done > 1.5 * MIB) return;
      execFileSync('sh', ['-c', `cat /dev/zero > '${filler}' 2>/dev/null || true`]);
    };
    const error = await cacheErrorOf(exportTo(medium, trip.connected, { onProgress: fill }));
    expect(error.message).toMatch(/no room.*the export then goes on where it stopped/);
    expect(error.code).toBe('no-space');
    await expectCacheError(importFrom(medium, trip.offline), 'invalid-medium', /did not finish/);
    await rm(filler);
    await exportTo(medium, trip.connected);
    expect(await judge()).toBe('5 files, 2 releases');
  });

  it('does not matter where the file system tells none', async (context) => {
    await mountTmpfs(context, medium, 0);
    await exportTo(medium, trip.connected);
    expect(await judge()).toBe('5 files, 2 releases');
  });
});

describe('the folder of a medium', () => {
  it('that is not there is not made: the disk is not mounted', async () => {
    await expectCacheError(
      exportTo(join(trip.folder, 'mnt', 'device'), trip.connected),
      'usage',
      /mnt\/device: no such folder; is the medium mounted\?/,
    );
    await writeFile(join(trip.folder, 'file'), '');
    await expectCacheError(exportTo(join(trip.folder, 'file'), trip.connected), 'usage', /is not a folder/);
    expect(await readdir(trip.folder)).not.toContain('mnt');
  });

  it('where nothing is mounted is taken, and that is told', async (context) => {
    const notes: string[] = [];
    const onNote = (text: string): void => void notes.push(text);
    await exportTo(medium, trip.connected, { onNote });
    expect(notes.join()).toMatch(/nothing is mounted at .*medium/);
    const mounted = join(trip.folder, 'mounted');
    await mountTmpfs(context, mounted, 64 * MIB);
    notes.length = 0;
    await exportTo(mounted, trip.connected, { onNote });
    expect(notes).toEqual([]);
  });

  it('that vanishes in the middle is not written to: the disk below stays as it is', async (context) => {
    await mountTmpfs(context, medium, 64 * MIB);
    let isGone = false;
    const onProgress = (): void => {
      if (!isGone) execFileSync('umount', ['-l', medium]);
      isGone = true;
    };
    const error = await cacheErrorOf(exportTo(medium, trip.connected, { onProgress }));
    expect(error.code).toBe('storage');
    expect(await readdir(medium)).toEqual([]);
    await unmount(medium);
  });

  it('that vanishes just before the manifest is written gets none', async (context) => {
    await mountTmpfs(context, medium, 64 * MIB);
    const { connected } = trip;
    const { site } = connected;
    let isGone = false;
    const records: ObjectStorage = {
      ...site.records,
      // The number of the export is the last thing that is asked for.
      create: async (size) => {
        if (!isGone) execFileSync('umount', ['-l', medium]);
        isGone = true;
        return site.records.create(size);
      },
    };
    const error = await cacheErrorOf(exportTo(medium, connected, { store: { ...site, records } }));
    expect(isGone).toBe(true);
    expect(error.code).toBe('storage');
    expect(error.message).toContain('is gone; plug the medium in');
    expect(await readdir(medium)).toEqual([]);
    await unmount(medium);
  });

  it('gets nothing of what is made in the moment in which it vanishes', async (context) => {
    await mountTmpfs(context, medium, 64 * MIB);
    const root = await openMediumRoot(medium);
    await root.makeFolder('software');
    await root.replaceFile('file', 'text');
    execFileSync('umount', ['-l', medium]);
    await expectCacheError(root.makeFolder('store'), 'storage', /is gone/);
    await expectCacheError(root.replaceFile('manifest.json', '{}'), 'storage', /is gone/);
    await expectCacheError(makeStore(join(medium, 'store'), { inFolder: true }), 'storage');
    expect(await readdir(medium)).toEqual([]);
    await unmount(medium);
  });

  it('that may not be written to is an error that says so', async () => {
    await chmod(medium, 0o555);
    await chmod(trip.connected.root, 0o777);
    await asOrdinaryUser(() =>
      expectCacheError(
        exportTo(medium, trip.connected),
        'storage',
        /export\.lock: can't be written \(EACCES: permission denied for the user \S+\)/,
      ),
    );
  });
});

describe('two exports to one medium at the same time', () => {
  it('are one that is done and one that says why it is not', async () => {
    const results = await Promise.allSettled(
      Array.from({ length: 4 }, () => exportTo(medium, trip.connected)),
    );
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
    for (const result of results) {
      if (result.status === 'fulfilled') continue;
      expect(result.reason).toMatchObject({
        code: 'storage',
        message: expect.stringMatching(/another export to .*medium is running/) as unknown,
      });
    }
    expect((await readdir(medium)).sort()).toEqual(
      ['manifest.json', 'miscellaneous', 'packages', 'software', 'store'].sort(),
    );
    expect(await judge()).toBe('5 files, 2 releases');
    expect(await importFrom(medium, trip.offline)).toHaveLength(2);
  });

  it('do not mind one that was killed, nor does an import', async () => {
    await exportTo(medium, trip.connected);
    // Of another start of this machine's system: nobody who could go on.
    const killed = ownerTag().replace(/^(\w+)-\w+/, '$1-00000000');
    await mkdir(join(medium, 'export.lock', `${killed}.x`), { recursive: true });
    expect(await importFrom(medium, trip.offline)).toHaveLength(2);
    await exportTo(medium, trip.connected);
    expect(await readdir(medium)).not.toContain('export.lock');
  });
});

describe('a second trip', () => {
  it('brings what is new, and leaves alone what is there', async () => {
    await exportTo(medium, trip.connected);
    await importFrom(medium, trip.offline);
    const more = await addRelease(trip.connected, 'https://example.com/more.cfg', 5000);
    await exportTo(medium, trip.connected);
    const outcomes = (await importFrom(medium, trip.offline)).map(({ outcome }) => outcome).sort();
    expect(outcomes).toEqual(['imported', 'unchanged', 'unchanged']);
    expect(await hasGoodBlob(trip.offline, more.sha512)).toBe(true);
  });
});
