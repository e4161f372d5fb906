import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { digestOf, type Digest } from '../../src/cache/digest.ts';
import type { EntryPair } from '../../src/cache/entry.ts';
import { keyOfFileUrl, keyOfSoftwareUrl, parseKey, type Key } from '../../src/cache/key.ts';
import { createTrustedCertificates, type Signer } from '../../src/cache/signature.ts';
import { membersOf, RAPID_CDN } from '../fixtures/entries.ts';
import { startHttpServer, type HttpServer } from '../fixtures/http-server.ts';
import { ask, headerOf, RawConnection, type RawResponse } from './raw-connection.ts';
import { createTestSigner } from './test-signer.ts';
import { chunk, everythingBelow, upload } from './upload-client.ts';

const KEY = keyOfSoftwareUrl(RAPID_CDN);

let server: HttpServer;
let signer: Signer;
let foreigner: Signer;
let sha512: Digest;

beforeAll(async () => {
  [signer, foreigner] = await Promise.all([createTestSigner('node'), createTestSigner('foreigner')]);
  server = await start({ allowUnsigned: false });
  sha512 = await server.addBlob('an archive');
});

afterAll(() => server.stop());

function start({ allowUnsigned }: { readonly allowUnsigned: boolean }): Promise<HttpServer> {
  return startHttpServer({
    parts: (usual) => ({
      ...usual,
      access: { anonymous: 'upload' },
      trusted: createTrustedCertificates([{ pem: signer.certificate, where: 'test' }]),
      upload: { ...usual.upload, allowUnsigned },
    }),
  });
}

function put(key: string, body: unknown, at = server): Promise<RawResponse> {
  const text = typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body);
  const headers = { 'Content-Type': 'application/json' };
  return upload(at, text, { method: 'PUT', target: `/bdir/${key}`, headers });
}

async function listOf(key: string, at = server): Promise<readonly unknown[]> {
  const response = await ask(at, `/bdir/${key}`);
  if (response.status === 404) return [];
  return JSON.parse(response.body.toString('utf8')) as readonly unknown[];
}

/** A software URL that no other test uses, with its key and a text for it. */
let count = 0;
function fresh(more: Readonly<Record<string, unknown>> = {}): { url: string; key: Key; text: string } {
  const url = `https://example.org/${++count}/software.cfg`;
  return { url, key: keyOfSoftwareUrl(url), text: JSON.stringify(membersOf(url, { sha512, ...more })) };
}

describe('PUT /bdir/<key>', () => {
  it('answers 201 with an empty body, and lists the pair from then on', async () => {
    const { key, text } = fresh();
    const { pair } = signer.sign(text);
    const response = await put(key, pair);
    expect(response.status).toBe(201);
    expect(headerOf(response, 'Content-Length')).toBe('0');
    expect(response.body).toHaveLength(0);
    expect(await listOf(key)).toEqual([pair]);
  });

  it('keeps the text as it was signed, whatever it looks like', async () => {
    const { url, key } = fresh();
    const text = `{ "software_url" : "${url}",\t"sha512":"${sha512}","note": "Z\\u00fcrich – Zürich\\/ \u{1f600}" }\n`;
    const { pair } = signer.sign(text);
    expect((await put(key, pair)).status).toBe(201);
    expect(await listOf(key)).toEqual([pair]);
  });

  it('adds the same pair only once', async () => {
    const { key, text } = fresh();
    const { pair } = signer.sign(text);
    for (const body of [pair, pair, `[ ${JSON.stringify(pair[0])},\n${JSON.stringify(pair[1])} ]`])
      expect((await put(key, body)).status).toBe(201);
    expect(await listOf(key)).toEqual([pair]);
    await Promise.all(Array.from({ length: 20 }, () => put(key, pair)));
    expect(await listOf(key)).toEqual([pair]);
  });

  it('lists what comes later before what came earlier', async () => {
    const { url, key } = fresh();
    const pairs: EntryPair[] = [];
    for (const version of ['10', '11', '12', '13']) {
      const { pair } = signer.sign(JSON.stringify(membersOf(url, { sha512, os: ['debian', version, '-'] })));
      expect((await put(key, pair)).status).toBe(201);
      pairs.unshift(pair);
      expect(await listOf(key)).toEqual(pairs);
    }
  });

  it('takes entries of sources under their keys', async () => {
    const url = 'https://example.org/source.tar.gz';
    for (const [key, members] of [
      [keyOfFileUrl(url), { sha512, url }],
      [parseKey('pypi:slapos.core=1.24'), { sha512, basename: 'slapos.core-1.24.tar.gz' }],
      [parseKey('file-private:firmware'), { sha512 }],
    ] as const) {
      const { pair } = signer.sign(JSON.stringify(members));
      expect((await put(key, pair)).status, key).toBe(201);
      expect(await listOf(encodeURIComponent(key))).toEqual([pair]);
    }
  });

  it('takes a body in chunks', async () => {
    const { key, text } = fresh();
    const { pair } = signer.sign(text);
    const body = Buffer.from(JSON.stringify(pair));
    const chunks = Buffer.concat([chunk(body.subarray(0, 10)), chunk(body.subarray(10)), chunk('')]);
    const headers = { 'Transfer-Encoding': 'chunked' };
    expect((await upload(server, chunks, { method: 'PUT', target: `/bdir/${key}`, headers })).status).toBe(
      201,
    );
    expect(await listOf(key)).toEqual([pair]);
  });

  it('takes a signature that an old client broke into lines', async () => {
    const { key, text } = fresh();
    const [json, signature] = signer.sign(text).pair;
    const broken = [json, `${signature.slice(0, 76)}\n${signature.slice(76)}\n`];
    expect((await put(key, broken)).status).toBe(201);
    expect(await listOf(key)).toEqual([broken]);
  });

  it('is refused without a body', async () => {
    for (const headers of [{ 'Content-Length': '0' }, {}])
      expect((await ask(server, `/bdir/${KEY}`, { method: 'PUT', headers })).status).toBe(400);
    expect(await listOf(KEY)).toEqual([]);
  });

  it('that ends too early adds nothing', async () => {
    const { key, text } = fresh();
    const body = JSON.stringify(signer.sign(text).pair);
    const before = await everythingBelow(server.root);
    for (const cut of [0, 1, 100, body.length - 1]) {
      const lines = server.lines.length;
      const connection = await RawConnection.open(server);
      const headers = { 'Content-Length': String(body.length) };
      connection.request(`/bdir/${key}`, { method: 'PUT', headers, body: body.slice(0, cut) });
      connection.destroy();
      await expect.poll(() => server.lines.length).toBe(lines + 1);
    }
    expect(await everythingBelow(server.root)).toEqual(before);
  });
});

/** Refused with its own status and words, and nothing written. */
async function expectRefusal(key: string, body: unknown, status: number, message: RegExp): Promise<void> {
  const before = await everythingBelow(server.root);
  const response = await put(key, body);
  expect(response.body.toString()).toMatch(message);
  expect(response.status).toBe(status);
  expect(await everythingBelow(server.root)).toEqual(before);
}

describe('an entry of the wrong form', () => {
  const good = JSON.stringify({ sha512: '0'.repeat(128) });

  it.each<[string, unknown]>([
    ['an object', { json: good, signature: '' }],
    ['a string', '"x"'],
    ['null', 'null'],
    ['a list of none', []],
    ['a list of one', [good]],
    ['a list of three', [good, '', '']],
    ['a list with an object', [{ sha512: '0'.repeat(128) }, '']],
    ['a list with a number', [good, 5]],
    ['a list of a list', [[good, '']]],
  ])('is refused when it is no list of two strings: %s', async (_what, body) => {
    await expectRefusal(KEY, body, 400, /JSON list of two strings/);
  });

  it.each(['', '[', '["{}",""', '["{}","",]', "['{}','']", 'x'])(
    'is refused when it is no JSON: %s',
    async (body) => {
      await expectRefusal(KEY, body, 400, /the entry is not JSON/);
    },
  );

  it.each(['', 'x', '{', "{'sha512': 'x'}"])(
    'is refused when its first string is no JSON: %s',
    async (text) => {
      await expectRefusal(KEY, [text, ''], 400, /the first string of the entry is not JSON/);
    },
  );

  it.each(['null', '"x"', '5', 'true', '[]', '["sha512"]'])(
    'is refused when its first string is no object: %s',
    async (text) => {
      await expectRefusal(KEY, [text, ''], 400, /not a JSON object with a sha512/);
    },
  );

  it.each<[string, unknown]>([
    ['none', undefined],
    ['null', null],
    ['a number', 5],
    ['an empty one', ''],
    ['a short one', 'a'.repeat(127)],
    ['a long one', 'a'.repeat(129)],
    ['one in upper case', 'A'.repeat(128)],
    ['no hex digits', 'g'.repeat(128)],
    ['a line end behind it', `${'a'.repeat(128)}\n`],
    ['a path', `../${'a'.repeat(125)}`],
    ['a list of one', ['a'.repeat(128)]],
  ])('is refused for its sha512: %s', async (_what, value) => {
    const text = JSON.stringify(membersOf(RAPID_CDN, { sha512: value }));
    await expectRefusal(KEY, [text, ''], 400, /"sha512" is missing or not 128 lower-case hex digits/);
  });

  it.each([
    ['a lone byte', Buffer.from([0x5b, 0x22, 0xff, 0x22, 0x2c, 0x22, 0x22, 0x5d])],
    ['Latin-1', Buffer.from(`["{\\"note\\":\\"Zürich\\"}",""]`, 'latin1')],
    ['UTF-16', Buffer.from('["{}",""]', 'utf16le')],
    ['a surrogate', Buffer.from([0x5b, 0x22, 0xed, 0xa0, 0x80, 0x22, 0x2c, 0x22, 0x22, 0x5d])],
  ])('is refused when it is not UTF-8: %s', async (what, body) => {
    // UTF-16 of ASCII happens to be UTF-8, with zeros.
    await expectRefusal(KEY, body, 400, what === 'UTF-16' ? /not JSON/ : /not UTF-8/);
  });

  it('is refused when it escapes a lone surrogate', async () => {
    await expectRefusal(KEY, `["{\\"x\\":\\"\\ud800\\"}",""]`, 400, /UTF-8 cannot express/);
  });

  it('is refused when it has more than 64 KiB, before it is read', async () => {
    const { url, key } = fresh();
    const limit = 64 * 1024;
    const textOf = (note: string): string => JSON.stringify(membersOf(url, { sha512, note }));
    const sizeOf = (note: string): number => JSON.stringify(signer.sign(textOf(note)).pair).length;
    const largest = 'x'.repeat(limit - sizeOf(''));
    expect((await put(key, signer.sign(textOf(largest)).pair)).status).toBe(201);
    const larger = JSON.stringify([
      textOf(`${largest}x`),
      'A'.repeat(signer.sign(fresh().text).pair[1].length),
    ]);
    expect(larger).toHaveLength(limit + 1);
    await expectRefusal(key, larger, 413, /larger than the limit of 65536 bytes/);
    await expectRefusal(key, Buffer.alloc(10_000_000, 0x20), 413, /larger than the limit of 65536 bytes/);
    const connection = await RawConnection.open(server);
    const headers = { 'Content-Length': String(limit + 1) };
    connection.request(`/bdir/${key}`, { method: 'PUT', headers });
    expect((await connection.response()).status).toBe(413);
    connection.destroy();
    const chunks = Buffer.concat([chunk(larger), chunk('')]);
    const request = {
      method: 'PUT',
      target: `/bdir/${key}`,
      headers: { 'Transfer-Encoding': 'chunked' },
    } as const;
    expect((await upload(server, chunks, request)).status).toBe(413);
    expect(await listOf(key)).toHaveLength(1);
  });

  it.each(['x', 'A'.repeat(32), '0'.repeat(31), '0'.repeat(33), '..', '%2e%2e', 'a:../b', '.', '%00:x'])(
    'is refused under what is no key: "%s"',
    async (key) => {
      const before = await everythingBelow(server.root);
      expect((await put(key, signer.sign(fresh().text).pair)).status).toBe(400);
      expect(await everythingBelow(server.root)).toEqual(before);
    },
  );

  it('is refused without a key: what is there is the list of keys, which nobody writes', async () => {
    const before = await everythingBelow(server.root);
    expect((await put('', signer.sign(fresh().text).pair)).status).toBe(405);
    expect(await everythingBelow(server.root)).toEqual(before);
  });

  it('may be as deep as it likes', async () => {
    const { url, key } = fresh();
    const deep = `${'['.repeat(20_000)}${']'.repeat(20_000)}`;
    const text = `{"sha512":"${sha512}","software_url":"${url}","deep":${deep}}`;
    expect((await put(key, signer.sign(text).pair)).status).toBe(201);
    await expectRefusal(key, deep, 400, /list of two strings/);
  });
});

describe('an entry that nobody here trusts', () => {
  it('is refused unsigned', async () => {
    const { key, text } = fresh();
    await expectRefusal(key, [text, ''], 403, /the entry is not signed/);
  });

  it('is refused with a foreign signature', async () => {
    const { key, text } = fresh();
    await expectRefusal(key, foreigner.sign(text).pair, 403, /no trusted certificate verifies/);
  });

  it('is refused when its text was re-serialised', async () => {
    const { url, key } = fresh();
    const text = `{"software_url": "${url}", "sha512": "${sha512}"}`;
    const [json, signature] = signer.sign(text).pair;
    const again = JSON.stringify(JSON.parse(json));
    expect(JSON.parse(again)).toEqual(JSON.parse(json));
    await expectRefusal(key, [again, signature], 403, /no trusted certificate verifies/);
    expect((await put(key, [json, signature])).status).toBe(201);
  });

  it.each<[string, (signature: string) => string]>([
    ['cut off', (signature) => signature.slice(0, -8)],
    ['with a changed digit', (signature) => (signature.startsWith('A') ? 'B' : 'A') + signature.slice(1)],
    ['longer', (signature) => `AAAA${signature}`],
    ['in hex', (signature) => Buffer.from(signature, 'base64').toString('hex')],
    ['in base64url', (signature) => signature.replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '')],
    ['with signs that Python would skip', (signature) => `${signature.slice(0, 4)}!${signature.slice(4)}`],
    ['that is a space', () => ' '],
    ['that is no base64', () => '****'],
  ])('is refused with a signature %s', async (_what, spoil) => {
    const { key, text } = fresh();
    const [json, signature] = signer.sign(text).pair;
    await expectRefusal(key, [json, spoil(signature)], 403, /no trusted certificate verifies/);
  });

  it("is refused with another entry's signature", async () => {
    const { key, text } = fresh();
    await expectRefusal(key, [text, signer.sign(fresh().text).pair[1]], 403, /no trusted certificate/);
  });
});

describe('an entry in the wrong place', () => {
  it('refuses an entry that was replayed under another key', async () => {
    const { key, text } = fresh();
    const { pair } = signer.sign(text);
    expect((await put(key, pair)).status).toBe(201);
    for (const other of [KEY, 'pypi:x=1', 'file-private:x', keyOfFileUrl('https://example.org/x')])
      await expectRefusal(other, pair, 400, /does not belong under key/);
    expect(await listOf(KEY)).toEqual([]);
  });

  it('refuses an entry of a source that was replayed under the key of another', async () => {
    const { pair } = signer.sign(JSON.stringify({ sha512, url: 'https://example.org/a.tar.gz' }));
    await expectRefusal(keyOfFileUrl('https://example.org/b.tar.gz'), pair, 400, /the key of its url/);
  });

  it.each(['packer-images', 'slapos-upgrade-testing-key', 'somekey0.123', KEY])(
    'takes an entry without software_url and machine under the key %s',
    async (key) => {
      const { pair } = signer.sign(JSON.stringify({ sha512, file: key }));
      expect((await put(key as Key, pair)).status).toBe(201);
      expect(await listOf(key as Key)).toContainEqual(pair);
    },
  );

  it('refuses to store under a key that is too long', async () => {
    const { pair } = signer.sign(JSON.stringify({ sha512, file: 'x' }));
    await expectRefusal('x'.repeat(161), pair, 400, /longer than 160 characters/);
  });

  it('refuses what names a machine, but no software_url, under the key of a release', async () => {
    const { pair } = signer.sign(JSON.stringify({ sha512, multiarch: 'x86_64-linux-gnu' }));
    await expectRefusal(KEY, pair, 400, /no software_url/);
  });

  it('refuses an entry whose blob is missing, and takes it when the blob has come', async () => {
    const content = 'a blob that comes later';
    const { key, text } = fresh({ sha512: digestOf(content) });
    const { pair } = signer.sign(text);
    await expectRefusal(key, pair, 409, /upload it to \/bcache before the entry/);
    expect((await upload(server, content)).status).toBe(201);
    expect((await put(key, pair)).status).toBe(201);
  });
});

describe('with allow-unsigned', () => {
  let open: HttpServer;

  beforeAll(async () => {
    open = await start({ allowUnsigned: true });
    await open.addBlob('an archive');
  });

  afterAll(() => open.stop());

  it('takes an unsigned entry, and signed ones as ever', async () => {
    const { key, text } = fresh();
    const { pair } = signer.sign(text);
    expect((await put(key, [text, ''], open)).status).toBe(201);
    expect((await put(key, pair, open)).status).toBe(201);
    expect(await listOf(key, open)).toEqual([pair, [text, '']]);
  });

  it('takes no foreign signature and no empty-looking one', async () => {
    const { key, text } = fresh();
    for (const signature of [foreigner.sign(text).pair[1], ' ', '\n', '='])
      expect((await put(key, [text, signature], open)).status).toBe(403);
    expect(await listOf(key, open)).toEqual([]);
  });

  it('still ties an entry to its key, and to a blob that is there', async () => {
    expect((await put(KEY, [fresh().text, ''], open)).status).toBe(400);
    const { key, text } = fresh({ sha512: 'ab'.repeat(64) });
    expect((await put(key, [text, ''], open)).status).toBe(409);
  });
});

describe('50 clients with 50 different entries on one key at once', () => {
  it('get 50 entries, newest first, and lookups meanwhile are valid and never lose one', async () => {
    const { url, key } = fresh();
    const pairs = Array.from({ length: 50 }, (_, index) => {
      const os = ['debian', String(index), '-'];
      return signer.sign(JSON.stringify(membersOf(url, { sha512, os }))).pair;
    });
    let running = true;
    let lookups = 0;
    /** What some lookup has shown: no lookup that begins later may lack it. */
    const seen = new Set<string>();
    const lookUp = async (): Promise<void> => {
      while (running) {
        const expected = [...seen];
        const texts = (await listOf(key)).map((pair) => JSON.stringify(pair));
        expect(new Set(texts).size).toBe(texts.length);
        expect(texts).toEqual(expect.arrayContaining(expected));
        for (const text of texts) seen.add(text);
        lookups++;
      }
    };
    const readers = Array.from({ length: 4 }, lookUp);
    await Promise.all(
      pairs.map(async (pair) => {
        const text = JSON.stringify(pair);
        expect((await put(key, pair)).status).toBe(201);
        expect((await listOf(key)).map((listed) => JSON.stringify(listed))).toContain(text);
      }),
    ).finally(() => {
      running = false;
    });
    await Promise.all(readers);
    expect(lookups).toBeGreaterThan(0);
    const list = (await listOf(key)).map((pair) => JSON.stringify(pair));
    expect([...list].sort()).toEqual(pairs.map((pair) => JSON.stringify(pair)).sort());
    const entries = await server.directory.entries(key);
    expect(entries.map(({ pair }) => JSON.stringify(pair))).toEqual(list);
    const received = entries.map((entry) => entry.received.getTime());
    expect(received).toEqual(received.toSorted((a, b) => b - a));
  });

  it('do not vanish again because of a lookup that began before them and ends after', async () => {
    const { url, key } = fresh();
    const pairOf = (version: string): EntryPair =>
      signer.sign(JSON.stringify(membersOf(url, { sha512, os: ['debian', version, '-'] }))).pair;
    const reading = createGate();
    const committing = createGate();
    const held = await startHttpServer({
      wrapStorage: (storage) => ({
        ...storage,
        open: async (name) => {
          await reading.pass();
          return storage.open(name);
        },
        create: async (size) => {
          const writer = await storage.create(size);
          return {
            ...writer,
            commitNew: async (name) => {
              const isNew = await writer.commitNew(name);
              await committing.pass();
              return isNew;
            },
          };
        },
      }),
      parts: (usual) => ({
        ...usual,
        access: { anonymous: 'upload' },
        upload: { ...usual.upload, allowUnsigned: true },
        trusted: createTrustedCertificates([{ pem: signer.certificate, where: 'test' }]),
      }),
    });
    onTestFinished(async () => {
      await held.stop();
    });
    await held.addBlob('an archive');
    expect((await put(key, pairOf('1'), held)).status).toBe(201);
    const openReading = reading.close(1);
    onTestFinished(openReading);
    const early = listOf(key, held);
    await reading.reached();
    // The second entry has its name already, its client no answer yet.
    const openCommitting = committing.close(1);
    onTestFinished(openCommitting);
    const putting = put(key, pairOf('2'), held);
    await committing.reached();
    expect(await listOf(key, held)).toHaveLength(2);
    openReading();
    expect(await early).toHaveLength(1);
    expect(await listOf(key, held)).toHaveLength(2);
    openCommitting();
    expect((await putting).status).toBe(201);
  });

  it('are listed in the order of their answers when 5 of them take turns', async () => {
    const { url, key } = fresh();
    const order: string[] = [];
    for (let round = 0; round < 10; round++) {
      const pairs = Array.from(
        { length: 5 },
        (_, index) =>
          signer.sign(JSON.stringify(membersOf(url, { sha512, os: ['debian', `${round}.${index}`, '-'] })))
            .pair,
      );
      const responses = await Promise.all(pairs.map((pair) => put(key, pair)));
      expect(responses.map(({ status }) => status)).toEqual([201, 201, 201, 201, 201]);
      const list = (await listOf(key)).map((pair) => JSON.stringify(pair));
      expect(list).toHaveLength(5 * (round + 1));
      // What was answered in earlier rounds stands behind, in the order in which it stood.
      expect(list.slice(5)).toEqual(order);
      order.splice(0, order.length, ...list);
    }
  });
});

/** Lets everybody through until it is closed to the next few, who wait until it is opened again. */
function createGate(): {
  pass: () => Promise<void>;
  close: (count: number) => () => void;
  /** Resolves when somebody waits. */
  reached: () => Promise<void>;
} {
  let left = 0;
  let opened = Promise.resolve();
  let waiting = 0;
  return {
    pass: async () => {
      if (left === 0) return;
      left--;
      waiting++;
      await opened;
    },
    close: (count) => {
      left = count;
      const { promise, resolve } = withResolvers();
      opened = promise;
      return resolve;
    },
    reached: () => expect.poll(() => waiting).toBeGreaterThan(0),
  };
}

function withResolvers(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
