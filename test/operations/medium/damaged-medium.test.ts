import {
  appendFile,
  chmod,
  copyFile,
  cp,
  mkdir,
  readFile,
  rename,
  rm,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { basename, join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { digestOf } from '../../../src/cache/digest.ts';
import type { SignedDocument } from '../../../src/cache/signature.ts';
import { keyPairOf } from '../../fixtures/key-pairs.ts';
import { contentsOf } from '../../fixtures/folder-contents.ts';
import { cacheErrorOf } from '../../fixtures/expected-error.ts';
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
  makeSite,
  MIB,
  prepareTrip,
  type Trip,
} from './medium-site.ts';

let trip: Trip;
let medium: string;

beforeEach(async () => {
  trip = await prepareTrip(await temporaryFolder());
  medium = trip.medium;
  // One blob is whole, the other has three parts.
  await exportTo(medium, trip.connected, { split: MIB });
});

/** No import takes the medium; no entry comes of it, and nothing is written to it. */
async function expectRefusal(code: string, ...messages: readonly RegExp[]): Promise<string> {
  const before = await contentsOf(medium);
  const store = await contentsOf(trip.offline.root);
  const error = await cacheErrorOf(importFrom(medium, trip.offline));
  for (const message of messages) expect(error.message).toMatch(message);
  expect(error.code).toBe(code);
  expect(await contentsOf(medium)).toEqual(before);
  expect(await entriesIn(trip.offline)).toEqual([]);
  const after = await contentsOf(trip.offline.root);
  // Blobs alone are seen by nobody: only those that are good may have come.
  for (const path of Object.keys(after)) if (!path.startsWith('bcache')) expect(store).toHaveProperty([path]);
  for (const path of Object.keys(after).filter((name) => name.startsWith('bcache/')))
    expect(digestOf(await readFile(join(trip.offline.root, path)))).toBe(basename(path));
  return error.message;
}

/** As `expectRefusal`, by what is seen before anything is copied. */
async function expectRefusalAtOnce(code: string, ...messages: readonly RegExp[]): Promise<string> {
  const before = await contentsOf(trip.offline.root);
  const message = await expectRefusal(code, ...messages);
  expect(await contentsOf(trip.offline.root)).toEqual(before);
  return message;
}

async function fileLike(pattern: RegExp): Promise<string> {
  const found = (await filesOf(medium)).find((path) => pattern.test(path));
  if (found === undefined) throw new Error(`no file like ${String(pattern)}`);
  return join(medium, found);
}

async function flipBit(path: string, position?: number): Promise<void> {
  await chmod(path, 0o644);
  const bytes = await readFile(path);
  const at = position ?? Math.floor(bytes.length / 2);
  bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at);
  await writeFile(path, bytes);
}

async function rewriteManifest(change: (document: SignedDocument) => SignedDocument): Promise<void> {
  const path = join(medium, 'manifest.json');
  await writeFile(path, JSON.stringify(change(JSON.parse(await readFile(path, 'utf8')) as SignedDocument)));
}

/** A manifest that says something else, and that the site's trusted signer has signed. */
async function resign(change: (content: Record<string, unknown>) => unknown): Promise<void> {
  await rewriteManifest(([text]) =>
    trip.connected.signer.signDocument(JSON.stringify(change(JSON.parse(text) as Record<string, unknown>))),
  );
}

/** A path on the medium with 8 digits of the sha512. */
const briefly = (path: string): string =>
  path.slice(medium.length + 1).replace(/(?<=[0-9a-f]{8})[0-9a-f]{120}/, '…');
const shortName = (path: string): string => path.slice(medium.length + 1, medium.length + 30);

describe('a medium as it was exported', () => {
  it('is imported, whole blobs and split ones', async () => {
    expect((await filesOf(medium)).filter((path) => path.includes('/parts/'))).toHaveLength(3);
    const results = await importFrom(medium, trip.offline);
    expect(results.map(({ outcome }) => outcome)).toEqual(['imported', 'imported']);
    expect(await hasGoodBlob(trip.offline, trip.kvm.sha512)).toBe(true);
    expect(await hasGoodBlob(trip.offline, trip.cdn.sha512)).toBe(true);
  });
});

describe('a medium of an earlier version', () => {
  it('is imported although no empty part ends a blob whose size is a multiple of the part size', async () => {
    const url = 'https://example.com/1.0/software/even/software.cfg';
    const { key, sha512 } = await addRelease(trip.connected, url, 2 * MIB);
    await exportTo(medium, trip.connected, { split: MIB });
    const empty = `store/parts/${sha512}.0003`;
    await rm(join(medium, empty));
    await resign((content) => ({
      ...content,
      files: (content['files'] as { path: string }[]).filter(({ path }) => path !== empty),
      split: (content['split'] as { parts: string[] }[]).map((blob) => ({
        ...blob,
        parts: blob.parts.filter((path) => path !== empty),
      })),
    }));
    expect((await importFrom(medium, trip.offline)).map(({ outcome }) => outcome)).toEqual(
      Array(3).fill('imported'),
    );
    expect(await hasGoodBlob(trip.offline, sha512)).toBe(true);
    // An export vouches for it as it is.
    const { entries } = await exportTo(medium, trip.connected, { keys: [key] });
    expect(entries.map(({ outcome }) => outcome)).toEqual(['unchanged']);
  });
});

describe('a file of a medium', () => {
  it.each([
    ['blob', /bcache/, 'cdn@1.0', 'blob'],
    ['first part', /parts.*0001$/, 'kvm@1.0', 'part 1 of blob'],
    ['last part', /parts.*0003$/, 'kvm@1.0', 'part 3 of blob'],
  ])(
    'that is a %s with a flipped bit is named, and no entry is added',
    async (_what, pattern, release, of) => {
      const path = await fileLike(pattern);
      await flipBit(path);
      await expectRefusal(
        'invalid-medium',
        new RegExp(
          `^  ${release}, ubuntu 22.04 x86_64-linux-gnu: ${of} changed \\(${briefly(path)}\\)$`,
          'm',
        ),
      );
      const error = await cacheErrorOf(importFrom(medium, trip.offline, { target: undefined as never }));
      expect(error.message.split('\n')[0]).toBe(
        `${medium} does not match its manifest; nothing was imported:`,
      );
      expect(error.message).toContain(`${of} changed (${briefly(path)})`);
    },
  );

  it.each([
    ['an entry', /bdir/],
    ['store.json', /store\.json/],
  ])('that is %s with a flipped bit is refused before anything is copied', async (_what, pattern) => {
    const path = await fileLike(pattern);
    await flipBit(path, 10);
    await expectRefusalAtOnce('invalid-medium', new RegExp(shortName(path)));
  });

  it('that says when an entry was received is covered, too', async () => {
    const path = await fileLike(/bdir/);
    await chmod(path, 0o644);
    const text = await readFile(path, 'utf8');
    await writeFile(path, text.replace(/"received":"20/, '"received":"30'));
    await expectRefusalAtOnce('invalid-medium', /: entry changed \(store\/bdir\/\S+\)$/m);
  });

  it.each([
    ['blob', /bcache/],
    ['part', /parts.*0002$/],
    ['entry', /bdir/],
    ['store.json', /store\.json/],
  ])('that is a missing %s is named before anything is copied', async (_what, pattern) => {
    const path = await fileLike(pattern);
    await rm(path);
    await expectRefusalAtOnce(
      'invalid-medium',
      pattern.test('store.json')
        ? /^ {2}store\/store\.json: missing$/m
        : new RegExp(`^  \\S+@1.0, .*: .* missing \\(${briefly(path)}\\)$`, 'm'),
    );
  });

  it('that is a part in the place of another is found out', async () => {
    const [first, second] = [await fileLike(/parts.*0001$/), await fileLike(/parts.*0002$/)];
    await rename(first, `${medium}/aside`);
    await rename(second, first);
    await rename(`${medium}/aside`, second);
    await expectRefusal(
      'invalid-medium',
      /: part 1 of blob changed \(.*0001\)$/m,
      /: part 2 of blob changed \(.*0002\)$/m,
    );
  });

  it('that is cut off is named with both sizes', async () => {
    const path = await fileLike(/bcache/);
    await truncate(path, 99_999);
    await expectRefusalAtOnce(
      'invalid-medium',
      /: blob has 99999 bytes instead of 100000 \(store\/bcache\/[0-9a-f]{8}…\)$/m,
    );
  });

  it('that has more bytes at its end is named', async () => {
    const path = await fileLike(/parts.*0003$/);
    await chmod(path, 0o644);
    await appendFile(path, 'x');
    await expectRefusalAtOnce(
      'invalid-medium',
      /: part 3 of blob has 12346 bytes instead of 12345 \(.*0003\)$/m,
    );
  });

  it.each([
    ['blob', `store/bcache/${'0'.repeat(128)}`],
    ['entry', `store/bdir/${'0'.repeat(32)}/${'0'.repeat(128)}`],
    ['part', `store/parts/${'0'.repeat(128)}.0001`],
    ['file among the blobs', 'store/bcache/notes.txt'],
    ['file beside them', 'store/readme'],
  ])('that is a %s that nobody exported is named', async (_what, name) => {
    await mkdir(join(medium, name, '..'), { recursive: true });
    await writeFile(join(medium, name), 'x');
    const message = await expectRefusalAtOnce(
      'invalid-medium',
      new RegExp(`^ {2}${name}: not in the manifest$`, 'm'),
      /^Nobody has signed for what is not in the manifest: remove it, and import again$/m,
    );
    // That refuses to touch what it did not write.
    expect(message).not.toContain('--recheck');
  });

  it('that is a link is none', async () => {
    const path = await fileLike(/bcache/);
    await copyFile(path, join(trip.folder, 'elsewhere'));
    await rm(path);
    await symlink(join(trip.folder, 'elsewhere'), path);
    await expectRefusalAtOnce(
      'invalid-medium',
      /: blob missing \(store\/bcache\/[0-9a-f]{8}…\)$/m,
      /bcache.*: not in the manifest/,
      /remove it, and import again\nThe rest was changed.*replaces the damage: cache export --recheck \/.*$/,
    );
  });

  it("in the folders for archives and packages is nobody's business", async () => {
    await writeFile(join(medium, 'software', 'notes.txt'), 'x');
    await writeFile(join(medium, 'have.json'), 'x');
    await mkdir(join(medium, 'store', 'tmp'), { recursive: true });
    await writeFile(join(medium, 'store', 'tmp', 'left-over'), 'x');
    expect(await importFrom(medium, trip.offline)).toHaveLength(2);
  });

  it('is listed with all others that are wrong, twenty at most', async () => {
    await flipBit(await fileLike(/bcache/));
    await flipBit(await fileLike(/parts.*0002$/));
    await expectRefusal(
      'invalid-medium',
      /: blob changed \(store\/bcache\/[0-9a-f]{8}…\)$/m,
      /: part 2 of blob changed \(.*0002\)$/m,
    );
    for (let index = 0; index < 25; index++) await writeFile(join(medium, 'store', `stray-${index}`), '');
    const message = await expectRefusalAtOnce('invalid-medium', /and 5 more/);
    expect(message.match(/: not in the manifest/g)).toHaveLength(20);
  });
});

describe('a manifest', () => {
  it('whose text was edited is refused', async () => {
    await rewriteManifest(([text, signature]) => [text.replace('"serial":1', '"serial":9'), signature]);
    await expectRefusalAtOnce('untrusted', /changed after signing/);
  });

  it('whose white space alone was changed is refused', async () => {
    await rewriteManifest(([text, signature]) => [`${text} `, signature]);
    await expectRefusalAtOnce('untrusted', /changed after signing/);
  });

  it('whose signature was edited is refused', async () => {
    await rewriteManifest(([text, signature]) => {
      const bytes = Buffer.from(signature, 'base64');
      bytes.writeUInt8(bytes.readUInt8(100) ^ 1, 100);
      return [text, bytes.toString('base64')];
    });
    await expectRefusalAtOnce('untrusted', /changed after signing/);
  });

  it('without signature is refused', async () => {
    await rewriteManifest(([text]) => [text, '']);
    await expectRefusalAtOnce('untrusted', /manifest\.json is not signed/);
  });

  it('with the signature of an entry is refused: another hash', async () => {
    await rewriteManifest(([text]) => {
      const members = { ...(JSON.parse(text) as object), sha512: '0'.repeat(128) };
      const { pair } = trip.connected.signer.sign(JSON.stringify(members));
      return [pair[0], pair[1]];
    });
    await expectRefusalAtOnce('untrusted', /changed after signing/);
  });

  it('of a stranger is refused, and the message tells who, and how to trust them', async () => {
    const stranger = await makeSite(trip.folder, 'stranger "of\u009b the East"');
    await addRelease(stranger, CDN, 1000);
    await rm(medium, { recursive: true });
    await mkdir(medium);
    await exportTo(medium, stranger);
    const message = await expectRefusalAtOnce(
      'untrusted',
      /is signed by "stranger .*of\\u009b the East.*" \(SHA-256 ([0-9A-F]{2}:){31}[0-9A-F]{2}\), which this site does not trust/,
      /: cache init SITE --trust .*\/miscellaneous\/sign\.crt$/m,
    );
    // A terminal would act on it.
    expect(message).not.toContain('\u009b');
    const [, certificate = ''] = /--trust (.*)$/m.exec(message) ?? [];
    expect(await readFile(certificate, 'utf8')).toBe(stranger.signer.certificate);
  });

  it('of a stranger who says to be somebody trusted is refused', async () => {
    const stranger = signerOf(await keyPairOf('stranger'));
    await rewriteManifest(([text]) => stranger.signDocument(text));
    await expectRefusalAtOnce('untrusted', /changed after signing/);
  });

  it.each([
    ['cut off', (text: string) => text.slice(0, -100), /not JSON; it was cut off or changed/],
    ['empty', () => '', /not JSON/],
    ['of one string', () => '["{}"]', /not a JSON list of a text and its signature/],
    ['no list', () => '{}', /not a JSON list of a text and its signature/],
  ])('that is %s is refused', async (_what, change, message) => {
    const path = join(medium, 'manifest.json');
    await writeFile(path, change(await readFile(path, 'utf8')));
    await expectRefusalAtOnce('invalid-medium', message);
  });

  it('that is too large to be one is not read', async () => {
    await truncate(join(medium, 'manifest.json'), 300 * MIB);
    await expectRefusalAtOnce('invalid-medium', /manifest\.json: larger than/);
  });

  it('of another format or kind is refused, although its signature is right', async () => {
    await resign((content) => ({ ...content, format: 2 }));
    await expectRefusalAtOnce('invalid-medium', /has format 2; this program knows 1: use a newer one/);
    await resign((content) => ({ ...content, format: 1, type: 'shacache-inventory' }));
    await expectRefusalAtOnce('invalid-medium', /not the manifest of a medium/);
  });

  it.each<[string, (content: Record<string, unknown>, files: Record<string, unknown>[]) => unknown, RegExp]>([
    [
      'a file outside of the store',
      (content, files) => ({ ...content, files: [...files, { ...files[0], path: 'store/../../passwd' }] }),
      /store\/\.\.\/\.\.\/passwd is no file of a medium's store/,
    ],
    [
      'a blob that is not named by its digest',
      (content, files) => ({
        ...content,
        files: files.map((file) =>
          String(file['path']).includes('bcache') ? { ...file, sha512: '0'.repeat(128) } : file,
        ),
      }),
      /not under its own sha512/,
    ],
    ['a file twice', (content, files) => ({ ...content, files: [...files, files[0]] }), /is listed twice/],
    ['parts of nothing', (content) => ({ ...content, split: [] }), /is part of no blob/],
    [
      'parts in another order',
      (content) => ({
        ...content,
        split: (content['split'] as { parts: string[] }[]).map((blob) => ({
          ...blob,
          parts: blob.parts.toReversed(),
        })),
      }),
      /0003 is not part 1 of/,
    ],
    [
      'parts that are not as long as their blob',
      (content) => ({
        ...content,
        split: (content['split'] as object[]).map((blob) => ({ ...blob, size: 5 })),
      }),
      /have \d+ bytes, not 5/,
    ],
    ['a serial that is none', (content) => ({ ...content, serial: -1 }), /"serial"/],
  ])('with %s is refused, although its signature is right', async (_what, change, message) => {
    await resign((content) => change(content, content['files'] as Record<string, unknown>[]));
    await expectRefusalAtOnce('invalid-medium', message);
  });
});

describe('trips that are mixed', () => {
  async function secondTrip(): Promise<{ readonly first: string }> {
    const first = join(trip.folder, 'first');
    await cp(medium, first, { recursive: true, preserveTimestamps: true });
    await addRelease(trip.connected, CDN, 50_000, { version: '2' });
    await exportTo(medium, trip.connected, { split: MIB });
    return { first };
  }

  it('with the manifest of an older trip on newer files are refused', async () => {
    const { first } = await secondTrip();
    await copyFile(join(first, 'manifest.json'), join(medium, 'manifest.json'));
    await expectRefusalAtOnce(
      'invalid-medium',
      /bcache.*: not in the manifest/,
      /bdir.*: not in the manifest/,
    );
  });

  it('with a newer manifest on older files are refused', async () => {
    const { first } = await secondTrip();
    await copyFile(join(medium, 'manifest.json'), join(first, 'manifest.json'));
    medium = first;
    await expectRefusalAtOnce(
      'invalid-medium',
      /: blob missing \(store\/bcache\/[0-9a-f]{8}…\)$/m,
      /: entry missing \(store\/bdir\/\S+\)$/m,
    );
  });

  it('with entries of another medium of the same signer are refused', async () => {
    const other = join(trip.folder, 'other');
    await mkdir(other);
    const url = 'https://example.com/1.0/software/other/software.cfg';
    const { key } = await addRelease(trip.connected, url, 1000);
    await exportTo(other, trip.connected, { keys: [key] });
    await cp(join(other, 'store'), join(medium, 'store'), { recursive: true, force: false });
    await expectRefusalAtOnce('invalid-medium', /bdir.*: not in the manifest/);
  });

  it('with one entry in the place of another are refused', async () => {
    const [first = '', second = ''] = (await filesOf(medium)).filter((path) => path.includes('/bdir/'));
    await chmod(join(medium, first), 0o644);
    await copyFile(join(medium, second), join(medium, first));
    await expectRefusalAtOnce(
      'invalid-medium',
      /: entry (changed|has \d+ bytes instead of \d+) \(store\/bdir\/\S+\)$/m,
    );
  });

  it('to an older one, complete and right, are refused until a person insists', async () => {
    const { first } = await secondTrip();
    await importFrom(medium, trip.offline);
    const before = await contentsOf(trip.offline.root);
    const error = await cacheErrorOf(importFrom(first, trip.offline));
    expect(error.message).toMatch(
      /first is older than an imported medium: export 1 of \d{4}-\d\d-\d\d \d\d:\d\d UTC, signed by "connected" .*; export 2 was imported; to import it anyway, add --accept-older$/,
    );
    expect(error.code).toBe('untrusted');
    expect(await contentsOf(trip.offline.root)).toEqual(before);

    const results = await importFrom(first, trip.offline, { acceptOlder: true });
    expect(results.map(({ outcome }) => outcome)).toEqual(['unchanged', 'unchanged']);
    // It stays an older one.
    expect((await cacheErrorOf(importFrom(first, trip.offline))).code).toBe('untrusted');
    expect(await importFrom(medium, trip.offline)).toHaveLength(3);
  });

  it('of two sites that export do not count against each other', async () => {
    await secondTrip();
    await importFrom(medium, trip.offline);
    const other = await makeSite(join(trip.folder, 'b'), 'connected');
    await addRelease(other, CDN, 777);
    const otherMedium = join(trip.folder, 'other medium');
    await mkdir(otherMedium);
    await exportTo(otherMedium, other);
    expect((await importFrom(otherMedium, trip.offline)).map(({ outcome }) => outcome)).toEqual(['imported']);
  });
});
