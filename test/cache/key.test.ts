import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { digestOf } from '../../src/cache/digest.ts';
import { CacheError } from '../../src/cache/errors.ts';
import { isKey, keyOfFileUrl, keyOfSoftwareUrl, parseKey, type Key } from '../../src/cache/key.ts';
import { blobName, digestOfBlobName, entriesPrefix, parseEntryName } from '../../src/cache/layout.ts';
import { RAPID_CDN } from '../fixtures/entries.ts';
import { expectCacheError } from '../fixtures/expected-error.ts';

const MD5 = '0123456789abcdef0123456789abcdef';
const DIGEST = digestOf('a blob');

/** Keys as sites make them and as attackers do; most parse. */
const anyKey = fc
  .oneof(
    fc.stringMatching(/^[0-9a-f]{32}$/),
    fc.stringMatching(/^file-urlmd5:[0-9a-f]{32}$/),
    fc.stringMatching(/^pypi:[A-Za-z0-9._-]{1,30}=[0-9a-z.!+]{1,12}$/),
    fc.stringMatching(/^[A-Za-z][A-Za-z0-9+.-]{0,10}:[!-.0-~]{1,200}$/),
    fc.stringMatching(/^[!-.0-~]{1,200}$/),
  )
  .filter(isKey);

/** Two keys that differ by upper and lower case alone, at times. */
const casedPair = fc.tuple(anyKey, anyKey, fc.boolean()).map(([a, b, same]) => {
  if (!same) return [a, b] as const;
  const other = a.replace(/[A-Za-z]/g, (letter) =>
    letter === letter.toLowerCase() ? letter.toUpperCase() : letter.toLowerCase(),
  );
  return [a, isKey(other) ? other : b] as const;
});

describe('key', () => {
  it('is what md5sum prints for the exact bytes of a software URL', () => {
    for (const url of [RAPID_CDN, 'https://example.com/naïve%20path/software.cfg', '']) {
      expect(keyOfSoftwareUrl(url)).toBe(
        execFileSync('md5sum', { input: url, encoding: 'utf8' }).slice(0, 32),
      );
      expect(keyOfFileUrl(url)).toBe(`file-urlmd5:${keyOfSoftwareUrl(url)}`);
    }
  });

  it.each([
    MD5,
    `file-urlmd5:${MD5}`,
    'pypi:slapos.core=1.24.0',
    'pypi:Zope2=4.8.11+local-1!2',
    'file-private:firmware',
    'X:.',
    // What clients really use (protocol.md, "Keys").
    'packer-images',
    'slapos-upgrade-testing-key',
    'http-example.org-sha256-content',
    'slapos-buildout-1.0.344',
    `pypi-index-${MD5}-REQ`,
    `git-buildout-${MD5}`,
    'somekey0.123',
    'file-urlmd5:0.5',
    MD5.toUpperCase(),
    '-',
    '...',
    '.hidden',
    'a..b',
    '~',
  ])('takes %s', (text) => {
    expect(parseKey(text)).toBe(text);
    expect(isKey(text)).toBe(true);
  });

  it.each([
    ['nothing', ''],
    ['a dot', '.'],
    ['a way up', '..'],
    ['a slash', 'pypi:a/b'],
    ['a space', 'pypi:a b'],
    ['a line feed at the end', `${MD5}\n`],
    ['a line feed after a name', 'pypi:a\n'],
    ['a null character', 'pypi:a\0'],
    ['a character beyond ASCII', 'pypi:naïve'],
    ['161 characters', `pypi:${'a'.repeat(156)}`],
  ])('refuses %s', async (_what, text) => {
    expect(isKey(text)).toBe(false);
    await expectCacheError(() => parseKey(text), 'invalid-key', /^not a key: /);
  });

  it('parses any string or refuses it as an invalid key', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 200 }),
      fc.stringMatching(/^[a-z:./%=]{0,170}$/),
    );
    fc.assert(
      fc.property(text, (candidate) => {
        try {
          expect(parseKey(candidate)).toBe(candidate);
          expect(isKey(candidate)).toBe(true);
        } catch (error) {
          if (!(error instanceof CacheError)) throw error;
          expect(error.code).toBe('invalid-key');
          expect(isKey(candidate)).toBe(false);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe('names in a store', () => {
  it('never leave the prefix, and fit any file system', () => {
    fc.assert(
      fc.property(anyKey, (key) => {
        const prefix = entriesPrefix(key);
        const [folder, name, rest, ...more] = prefix.split('/');
        expect([folder, rest, more]).toEqual(['bdir', '', []]);
        // No dot at either end, nothing that FAT refuses, no more than 255 bytes.
        expect(name).toMatch(/^[a-z0-9_=+%-][a-z0-9._=+%-]{0,254}$/);
        expect(name).not.toMatch(/\.$/);
      }),
      { numRuns: 2000 },
    );
    expect(blobName(DIGEST)).toBe(`bcache/${DIGEST}`);
  });

  it('refuses a key whose name would be longer than 255 bytes, though the key is short', async () => {
    const shouting = (length: number) => `X:${'A'.repeat(length - 2)}`;
    const longest = parseKey(shouting(85));
    expect(entriesPrefix(longest)).toHaveLength('bdir//'.length + 255);
    await expectCacheError(() => parseKey(shouting(86)), 'invalid-key');
    await expectCacheError(() => parseKey(`X:${'a'.repeat(60)}${'A'.repeat(90)}`), 'invalid-key');
  });

  it('are never shared by two keys, on a file system that ignores case either', () => {
    fc.assert(
      fc.property(casedPair, ([a, b]) => {
        expect(entriesPrefix(a).toLowerCase() === entriesPrefix(b).toLowerCase()).toBe(a === b);
      }),
      { numRuns: 2000 },
    );
    const names = (['Pypi:a', 'pypi:a', 'pypi:A', 'pypi:a.', 'pypi:a%2e', 'pypi:%41'] as Key[]).map(
      entriesPrefix,
    );
    expect(new Set(names.map((name) => name.toLowerCase())).size).toBe(6);
  });

  it('tell their key and digest again', () => {
    fc.assert(
      fc.property(anyKey, (key) => {
        expect(parseEntryName(entriesPrefix(key) + DIGEST)).toEqual({ key, digest: DIGEST });
      }),
      { numRuns: 2000 },
    );
    expect(digestOfBlobName(blobName(DIGEST))).toBe(DIGEST);
  });

  it.each([
    `bdir/${MD5}`,
    `bdir/${MD5}/`,
    `bdir/${MD5}/x`,
    `bdir/${MD5}/${DIGEST}/x`,
    `bdir/${MD5}/${DIGEST}.tmp`,
    `bdir/%zz/${DIGEST}`,
    `bdir/%/${DIGEST}`,
  ])('leave the stray %s out', (name) => {
    expect(parseEntryName(name)).toBeUndefined();
  });

  it.each([
    ['in upper case', `bdir/PYPI%3aA=1/${DIGEST}`],
    ['not encoded', `bdir/pypi:a=1/${DIGEST}`],
    ['encoded more than needed', `bdir/pypi%3a%61=1/${DIGEST}`],
    ['encoded in upper case', `bdir/pypi%3Aa=1/${DIGEST}`],
  ])('leave out a folder that is named %s: its key has another one', (_what, name) => {
    expect(parseEntryName(name)).toBeUndefined();
  });

  it('leave out files among the blobs that are none', () => {
    for (const name of [
      'bcache/',
      'bcache/.DS_Store',
      `bcache/${DIGEST}.part`,
      `bcache/${DIGEST.toUpperCase()}`,
    ]) {
      expect(digestOfBlobName(name)).toBeUndefined();
    }
  });
});
