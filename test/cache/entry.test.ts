import { execFileSync } from 'node:child_process';
import fc from 'fast-check';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { digestOf } from '../../src/cache/digest.ts';
import { checkBinding, ENTRY_SIZE_LIMIT, madeAt, parseEntry, parseEntryText } from '../../src/cache/entry.ts';
import { CacheError } from '../../src/cache/errors.ts';
import { keyOfFileUrl, keyOfSoftwareUrl, parseKey } from '../../src/cache/key.ts';
import { membersOf, RAPID_CDN, unsignedEntry } from '../fixtures/entries.ts';
import { expectCacheError } from '../fixtures/expected-error.ts';

const SHA512 = digestOf('a blob');

describe('an entry', () => {
  it('keeps the signed text byte for byte, however it is written', () => {
    const texts = [
      `{"sha512":"${SHA512}"}`,
      ` {\t"sha512" :\r\n "${SHA512}" , "b":1, "a":1.0, "a":1e2, "n":12345678901234567890 }\n`,
      `{"sha512": "${SHA512}", "file": "na\\u00efve", "é": "版😀", "slash": "\\/"}`,
    ];
    for (const json of texts) {
      const body = JSON.stringify([json, 'c2lnbmF0dXJl']);
      expect(parseEntryText(body).pair).toEqual([json, 'c2lnbmF0dXJl']);
      // Escapes of the pair's own JSON are undone, those of the text inside are kept.
      expect(parseEntryText(` ${body.replace('"c2l', '"\\u0063\\u0032l')}\n`).pair).toEqual([
        json,
        'c2lnbmF0dXJl',
      ]);
    }
  });

  it('has as digest the sha512 of the pair as JSON, whatever spaces the pair came with', () => {
    const pair: [string, string] = [`{"sha512": "${SHA512}", "é": 1}`, 'c2ln'];
    const judged = execFileSync('sha512sum', { input: JSON.stringify(pair), encoding: 'utf8' }).slice(0, 128);
    expect(parseEntryText(` [ ${JSON.stringify(pair[0])} ,\n"c2ln" ] `).digest).toBe(judged);
    expect(parseEntry([pair[0], 'c2lo']).digest).not.toBe(judged);
  });

  it('is what slapos node software writes', () => {
    const members = membersOf(RAPID_CDN, {
      file: 'a.tar.gz',
      size: 12,
      creation_date: '2026-01-01T00:00:00Z',
    });
    expect(parseEntry([JSON.stringify(members), ''])).toMatchObject({
      sha512: members['sha512'],
      softwareUrl: RAPID_CDN,
      url: undefined,
      platform: { multiarch: 'x86_64-linux-gnu', os: ['ubuntu', '22.04', 'jammy'] },
      file: 'a.tar.gz',
      size: 12,
      creationDate: '2026-01-01T00:00:00Z',
    });
  });

  it('of old has machine for multiarch, and os as the text of a tuple', () => {
    const old = { sha512: SHA512, machine: 'x86_64', os: "('ubuntu', '22.04', 'jammy')" };
    const platform = { multiarch: 'x86_64-linux-gnu', os: ['ubuntu', '22.04', 'jammy'] };
    expect(parseEntry([JSON.stringify(old), '']).platform).toEqual(platform);
    expect(parseEntry([JSON.stringify({ ...old, machine: 'aarch64' }), '']).platform).toBeUndefined();
    const both = { ...old, machine: 'x86_64', multiarch: 'aarch64-linux-gnu' };
    expect(parseEntry([JSON.stringify(both), '']).platform).toEqual({
      ...platform,
      multiarch: 'aarch64-linux-gnu',
    });
  });

  it.each([
    ['os of two parts', { os: ['ubuntu', '22.04'] }],
    ['os of four parts', { os: ['ubuntu', '22.04', 'jammy', ''] }],
    ['os with a number', { os: ['ubuntu', 22.04, 'jammy'] }],
    ['os as another text', { os: 'ubuntu 22.04' }],
    ['no os', { os: undefined }],
    ['a multiarch that is none', { multiarch: 7 }],
  ])('with %s is taken, but fits no machine', (_what, members) => {
    const entry = parseEntry([JSON.stringify(membersOf(RAPID_CDN, members)), '']);
    expect(entry.platform).toBeUndefined();
    expect(entry.softwareUrl).toBe(RAPID_CDN);
  });

  it('shows no size, file or date that is none', () => {
    for (const size of [-1, 1.5, 2 ** 53, '12', null, [12]]) {
      expect(parseEntry([JSON.stringify({ sha512: SHA512, size }), '']).size).toBeUndefined();
    }
    const odd = parseEntry([JSON.stringify({ sha512: SHA512, file: 1, creation_date: null }), '']);
    expect([odd.file, odd.creationDate]).toEqual([undefined, undefined]);
  });

  it.each<[string, unknown]>([
    ['an object', {}],
    ['null', null],
    ['a string', 'x'],
    ['an empty list', []],
    ['one string', [`{"sha512":"${SHA512}"}`]],
    ['three strings', [`{"sha512":"${SHA512}"}`, '', '']],
    ['an object for the text', [{ sha512: SHA512 }, '']],
    ['null for the signature', [`{"sha512":"${SHA512}"}`, null]],
  ])('is not %s', async (_what, value) => {
    await expectCacheError(() => parseEntry(value), 'invalid-entry', /list of two strings/);
    await expectCacheError(
      () => parseEntryText(JSON.stringify(value)),
      'invalid-entry',
      /list of two strings/,
    );
  });

  it.each([
    ['no JSON', 'sha512', /not JSON/],
    ['a list', '[]', /not a JSON object/],
    ['a string', '"x"', /not a JSON object/],
    ['null', 'null', /not a JSON object/],
    ['no sha512', '{}', /"sha512" is missing/],
    ['a sha512 in upper case', JSON.stringify({ sha512: SHA512.toUpperCase() }), /128 lower-case hex digits/],
    ['a sha512 with a line feed', JSON.stringify({ sha512: `${SHA512}\n` }), /128 lower-case hex digits/],
    ['a list for the sha512', JSON.stringify({ sha512: [SHA512] }), /128 lower-case hex digits/],
    ['a number for the URL', JSON.stringify({ sha512: SHA512, software_url: 1 }), /software_url/],
  ])('whose text is %s is refused', async (_what, json, message) => {
    await expectCacheError(() => parseEntry([json, '']), 'invalid-entry', message);
  });

  it('takes the sha512 that Python would take when there are two', () => {
    const other = digestOf('another blob');
    expect(parseEntry([`{"sha512":"${other}","sha512":"${SHA512}"}`, '']).sha512).toBe(SHA512);
  });

  it.each([
    ['a lone surrogate in the text', [`{"sha512":"${SHA512}","x":"\ud800"}`, '']],
    ['a lone surrogate in the signature', [`{"sha512":"${SHA512}"}`, '\udfff']],
  ])('refuses %s, which has no UTF-8 form that could be signed', async (_what, value) => {
    await expectCacheError(() => parseEntry(value), 'invalid-entry', /UTF-8/);
    // As it arrives: an escape in the pair's own JSON.
    await expectCacheError(() => parseEntryText(JSON.stringify(value)), 'invalid-entry', /UTF-8/);
  });

  it('may hold the escape of a lone surrogate: that text has a UTF-8 form', () => {
    const json = String.raw`{"sha512":"${SHA512}","x":"\ud800"}`;
    expect(parseEntry([json, '']).pair[0]).toBe(json);
  });

  it('has at most 64 KiB as a pair, counted in bytes', async () => {
    const pairOf = (padding: string) => [`{"sha512":"${SHA512}","x":"${padding}"}`, ''];
    const room = ENTRY_SIZE_LIMIT - Buffer.byteLength(JSON.stringify(pairOf('')));
    expect(parseEntry(pairOf('a'.repeat(room))).sha512).toBe(SHA512);
    await expectCacheError(() => parseEntry(pairOf('a'.repeat(room + 1))), 'too-large', /65536 bytes/);
    await expectCacheError(() => parseEntry(pairOf('é'.repeat(room / 2 + 1))), 'too-large');
    await expectCacheError(
      () => parseEntry([`{"sha512":"${SHA512}"}`, 'A'.repeat(ENTRY_SIZE_LIMIT)]),
      'too-large',
    );
  });

  it('parses any text or refuses it with a code of its own', () => {
    const text = fc.oneof(
      fc.json().map((json) => JSON.stringify([json, ''])),
      fc.json(),
      fc.string({ unit: 'binary' }),
      fc
        .dictionary(fc.constantFrom('sha512', '__proto__', 'os', 'url', 'multiarch'), fc.jsonValue())
        .map((members) => JSON.stringify([JSON.stringify({ sha512: SHA512, ...members }), ''])),
    );
    fc.assert(
      fc.property(text, (candidate) => {
        try {
          expect(parseEntryText(candidate).pair).toEqual(JSON.parse(candidate));
        } catch (error) {
          if (!(error instanceof CacheError)) throw error;
          expect(['invalid-entry', 'too-large']).toContain(error.code);
        }
      }),
      { numRuns: 2000 },
    );
  });
});

describe('when an entry was made', () => {
  const NOON = Date.UTC(2026, 0, 1, 12);

  afterEach(() => {
    vi.unstubAllEnvs();
  });

  it.each<[string, number]>([
    ['2026-01-01T12:00:00Z', NOON],
    ['2026-01-01T12:00:00.500Z', NOON + 500],
    ['2026-01-01T14:00:00+02:00', NOON],
    ['2026-01-01 14:00:00 +0200', NOON],
    // As Python's utcnow() gives it, by isoformat() and by str().
    ['2026-01-01T12:00:00.500000', NOON + 500],
    ['2026-01-01 12:00:00.500000', NOON + 500],
    ['2026-01-01T12:00:00', NOON],
    ['2026-01-01 12:00', NOON],
    ['2026-01-01', Date.UTC(2026, 0, 1)],
  ])('is the same wherever it is read: %s', (creationDate, time) => {
    for (const zone of ['UTC', 'America/New_York', 'Asia/Tokyo']) {
      vi.stubEnv('TZ', zone);
      expect(madeAt({ creationDate }), zone).toBe(time);
    }
  });

  it.each(['', 'yesterday', '12:00', '2026-13-01T12:00:00', undefined])(
    'is not told by %j',
    (creationDate) => {
      expect(madeAt({ creationDate })).toBeUndefined();
    },
  );
});

describe('the key of an entry', () => {
  const source = 'https://example.com/source.tar.gz';

  it('refuses an entry that was replayed under another key', async () => {
    const good = unsignedEntry(membersOf(RAPID_CDN));
    checkBinding(keyOfSoftwareUrl(RAPID_CDN), good);
    const other = keyOfSoftwareUrl(RAPID_CDN.replace('1.0.344', '1.0.345'));
    await expectCacheError(
      () => {
        checkBinding(other, good);
      },
      'key-mismatch',
      new RegExp(RAPID_CDN),
    );
    for (const key of [`file-urlmd5:${keyOfSoftwareUrl(RAPID_CDN)}`, 'pypi:a=1', 'file-private:firmware']) {
      await expectCacheError(
        () => {
          checkBinding(parseKey(key), good);
        },
        'key-mismatch',
        /software_url/,
      );
    }
  });

  it.each([{ multiarch: 'x86_64-linux-gnu' }, { machine: 'x86_64' }, { multiarch: null }])(
    'of an entry that names a machine, %j, needs a software_url',
    async (machine) => {
      const entry = unsignedEntry({ sha512: SHA512, url: RAPID_CDN, ...machine });
      await expectCacheError(
        () => {
          checkBinding(keyOfSoftwareUrl(RAPID_CDN), entry);
        },
        'key-mismatch',
        /names a machine, .* no software_url/,
      );
    },
  );

  it('of an entry that a node never installs may be 32 hex digits, too', () => {
    // md5('file-private:amarisoft') is in use.
    checkBinding(keyOfSoftwareUrl('file-private:amarisoft'), unsignedEntry({ sha512: SHA512, file: 'x' }));
  });

  it('of a source file is that of its url', async () => {
    const entry = unsignedEntry({ sha512: SHA512, url: source });
    checkBinding(keyOfFileUrl(source), entry);
    await expectCacheError(() => {
      checkBinding(keyOfFileUrl(`${source}.asc`), entry);
    }, 'key-mismatch');
  });

  it('cannot be told for entries with a basename alone, nor for the keys of a site', () => {
    const entry = unsignedEntry({ sha512: SHA512, basename: 'source.tar.gz' });
    checkBinding(keyOfFileUrl(source), entry);
    checkBinding(parseKey('pypi:source=1'), entry);
    checkBinding(parseKey('file-private:firmware'), entry);
  });

  it('holds for no other software URL', async () => {
    await fc.assert(
      fc.asyncProperty(fc.webUrl(), fc.webUrl(), async (a, b) => {
        const entry = unsignedEntry(membersOf(a));
        checkBinding(keyOfSoftwareUrl(a), entry);
        if (a !== b)
          await expectCacheError(() => {
            checkBinding(keyOfSoftwareUrl(b), entry);
          }, 'key-mismatch');
      }),
    );
  });
});
