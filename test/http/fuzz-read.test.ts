import fc from 'fast-check';
import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import type { Digest } from '../../src/cache/digest.ts';
import { keyOfSoftwareUrl } from '../../src/cache/key.ts';
import { membersOf, RAPID_CDN, unsignedEntry } from '../fixtures/entries.ts';
import { startHttpServer, type HttpServer } from '../fixtures/http-server.ts';
import { say } from './outside-programs.ts';
import { ask, headerOf, RawConnection, type RawResponse } from './raw-connection.ts';
import { StorageObserver } from './storage-observer.ts';

const CASES = process.env['SHACACHE_HEAVY'] === undefined ? 100 : 10_000;
const SEED = Number(process.env['SHACACHE_SEED'] ?? Date.now() % 2 ** 31);
const TIME_LIMIT = 30 * 60_000;

const CONTENT = 'The content of the blob that everybody may read.';
/** Beside the store, and in it where nothing is served from. */
const SECRET = 'ThisIsNothingThatAnybodyMayRead';
const KEY = keyOfSoftwareUrl(RAPID_CDN);

const observer = new StorageObserver();
let server: HttpServer;
let digest: Digest;

beforeAll(async () => {
  say(`fuzz: ${CASES} cases, seed ${SEED} (again with SHACACHE_SEED=${SEED}; more with SHACACHE_HEAVY=1)`);
  server = await startHttpServer({ wrapStorage: observer.wrap });
  digest = await server.addBlob(CONTENT);
  await server.directory.add(KEY, unsignedEntry(membersOf(RAPID_CDN, { sha512: digest })));
  // No key is spelled with a capital letter in a store: a file under the name of a key would be a fault of the disk.
  for (const path of ['secret', 'bcache/secret', 'bdir/Secret', 'tmp/secret'])
    await writeFile(join(server.root, path), SECRET);
  await writeFile(join(dirname(server.root), 'secret'), SECRET);
});

afterAll(() => server.stop());

beforeEach(() => {
  observer.names.length = 0;
});

/** The names that a request may look at: blobs, the folder of keys, those of keys and their entries. */
const SERVED = /^(store\.json|bcache\/[0-9a-f]{128}|bdir\/|bdir\/[a-z0-9%._=+-]+\/([0-9a-f]{128})?)$/;

function expectHarmless(response: RawResponse | undefined): void {
  for (const name of observer.names.splice(0)) {
    expect(name).toMatch(SERVED);
    expect(name.split('/')).not.toContain('..');
  }
  expect(server.failures).toEqual([]);
  if (response === undefined) return;
  expect(response.status).toBeLessThan(500);
  expect(response.body.includes(SECRET)).toBe(false);
  expect(response.body.includes(dirname(server.root))).toBe(false);
}

/** Sends the bytes; the answer, or undefined where the connection is closed without one. */
async function exchange(bytes: string, method: string): Promise<RawResponse | undefined> {
  const connection = await RawConnection.open(server);
  try {
    connection.send(bytes);
    return await connection.response(method);
  } catch (error) {
    // Node's parser has no answer for CONNECT, and for what comes behind an end.
    if (method === 'CONNECT') return undefined;
    throw error;
  } finally {
    connection.destroy();
  }
}

async function check<T extends unknown[]>(property: fc.IAsyncPropertyWithHooks<T>): Promise<void> {
  await fc.assert(property, { numRuns: CASES, seed: SEED });
  // It still does its work.
  expect((await ask(server, `/bcache/${digest}`)).body.toString()).toBe(CONTENT);
  expect((await ask(server, `/bdir/${KEY}`)).status).toBe(200);
}

function hexText(length: fc.StringSharedConstraints): fc.Arbitrary<string> {
  return fc.string({ unit: fc.integer({ min: 0, max: 15 }).map((digit) => digit.toString(16)), ...length });
}

/** Pieces of paths that mean something to somebody. */
function pathPieces(): fc.Arbitrary<string> {
  return fc.oneof(
    fc.constantFrom(
      '/',
      '//',
      '.',
      '..',
      '../',
      '..\\',
      '\\',
      '%',
      '%2f',
      '%2F',
      '%2e',
      '%2e%2e',
      '%00',
      '%0a',
    ),
    fc.constantFrom(
      '%25',
      '%252e',
      '%c0%ae',
      '%ff',
      '%u002f',
      ';',
      '?',
      '#',
      '&',
      ':',
      '=',
      '@',
      '+',
      '~',
      '*',
    ),
    fc.constantFrom(
      'bcache',
      'bdir',
      'store.json',
      'secret',
      'tmp',
      'health',
      'etc/passwd',
      'pypi:',
      'file-urlmd5:',
    ),
    fc.constantFrom('<digest>', '<key>', 'http://cache', 'file:///', 'a'.repeat(200), '0'.repeat(128)),
    fc.string({ unit: 'grapheme-ascii', maxLength: 20 }),
    fc.string({ unit: 'binary', maxLength: 5 }).map((text) => encodeURIComponent(text.toWellFormed())),
    hexText({ maxLength: 130 }),
  );
}

function targets(): fc.Arbitrary<string> {
  return fc
    .tuple(
      fc.constantFrom(
        '/bcache/',
        '/bdir/',
        '/',
        '/health',
        '',
        '/bcache/../',
        '/bdir/..%2f',
        'http://x/bcache/',
      ),
      fc.array(pathPieces(), { maxLength: 8 }),
    )
    .map(([start, pieces]) => start + pieces.join(''));
}

function fill(text: string): string {
  return text.replaceAll('<digest>', digest).replaceAll('<key>', KEY);
}

/** What a line of a request can hold without ending it. */
function lineText(maxLength: number): fc.Arbitrary<string> {
  return fc.oneof(
    fc.string({ unit: 'grapheme-ascii', maxLength }),
    fc.uint8Array({ maxLength }).map((bytes) =>
      Buffer.from(bytes)
        .toString('latin1')
        .replace(/[\r\n]/g, ''),
    ),
  );
}

it(
  'has a harmless answer to any path',
  async () => {
    const method = fc.constantFrom('GET', 'HEAD', 'GET', 'OPTIONS', 'DELETE', 'CONNECT', 'TRACE', 'get');
    await check(
      fc.asyncProperty(method, targets(), async (name, target) => {
        const bytes = `${name} ${fill(target)} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`;
        expectHarmless(await exchange(bytes, name));
      }),
    );
  },
  TIME_LIMIT,
);

it(
  'has a harmless answer to any digest and key',
  async () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary', minLength: 1, maxLength: 200 }),
      fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 200 }),
      fc
        .tuple(
          fc.constantFrom('pypi:', 'x:', 'file-urlmd5:'),
          fc.string({ unit: 'grapheme-ascii', maxLength: 170 }),
        )
        .map((parts) => parts.join('')),
      hexText({ minLength: 30, maxLength: 34 }),
      hexText({ minLength: 126, maxLength: 130 }),
    );
    await check(
      fc.asyncProperty(fc.constantFrom('bcache', 'bdir'), text, async (service, name) => {
        const target = `/${service}/${encodeURIComponent(name.toWellFormed())}`;
        const response = await exchange(
          `GET ${target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
          'GET',
        );
        expectHarmless(response);
        expect([200, 400, 404]).toContain(response?.status);
      }),
    );
  },
  TIME_LIMIT,
);

it(
  'has a harmless answer to any headers',
  async () => {
    const name = fc.oneof(
      fc.constantFrom(
        'Range',
        'If-Range',
        'If-None-Match',
        'If-Match',
        'If-Modified-Since',
        'Host',
        'Accept',
      ),
      fc.constantFrom(
        'Expect',
        'Content-Length',
        'Transfer-Encoding',
        'Authorization',
        'Connection',
        'Upgrade',
      ),
      fc.constantFrom(
        '__proto__',
        'constructor',
        'Cookie',
        'Accept-Encoding',
        'X-Forwarded-For',
        'Forwarded',
      ),
      lineText(20),
    );
    const value = fc.oneof(
      lineText(100),
      fc.constantFrom(
        '*',
        '""',
        'W/"',
        'bytes=0-',
        'chunked',
        'close',
        '100-continue',
        '0',
        '-1',
        '1e9',
        'Basic Og==',
        'h2c',
      ),
    );
    const headers = fc.array(fc.tuple(name, value), { maxLength: 10 });
    const target = fc.constantFrom('/bcache/<digest>', '/bdir/<key>', '/health');
    const version = fc.constantFrom('HTTP/1.1', 'HTTP/1.0');
    await check(
      fc.asyncProperty(
        fc.constantFrom('GET', 'HEAD'),
        target,
        version,
        headers,
        async (method, path, spoken, list) => {
          const lines = list.map(([key, text]) => `${key}: ${text}\r\n`).join('');
          const bytes = `${method} ${fill(path)} ${spoken}\r\nHost: x\r\nConnection: close\r\n${lines}\r\n`;
          expectHarmless(await exchange(bytes, method));
        },
      ),
    );
  },
  TIME_LIMIT,
);

it(
  'sends for any range the bytes that it says it sends',
  async () => {
    const number = fc.oneof(
      fc.integer({ min: 0, max: CONTENT.length + 5 }).map(String),
      fc.bigInt({ min: 0n, max: 10n ** 25n }).map(String),
      fc.constant(''),
    );
    const range = fc.oneof(
      fc.tuple(number, number).map(([start, end]) => `bytes=${start}-${end}`),
      fc
        .array(
          fc.tuple(number, number).map(([start, end]) => `${start}-${end}`),
          { maxLength: 5 },
        )
        .map((parts) => `bytes=${parts.join(',')}`),
      lineText(30).map((text) => `bytes=${text.trim()}`),
      lineText(30),
    );
    await check(
      fc.asyncProperty(range, async (text) => {
        const bytes = `GET /bcache/${digest} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nRange: ${text}\r\n\r\n`;
        const response = await exchange(bytes, 'GET');
        expectHarmless(response);
        if (response?.status === 206) {
          const [, start, end, size] =
            /^bytes (\d+)-(\d+)\/(\d+)$/.exec(headerOf(response, 'Content-Range') ?? '') ?? [];
          expect(Number(size)).toBe(CONTENT.length);
          expect(response.body.toString()).toBe(CONTENT.slice(Number(start), Number(end) + 1));
          expect(response.body.length).toBeGreaterThan(0);
        } else if (response?.status === 200) {
          expect(response.body.toString()).toBe(CONTENT);
        } else {
          expect([400, 416]).toContain(response?.status);
        }
      }),
    );
  },
  TIME_LIMIT,
);

it(
  'has a harmless answer to whatever bytes, and keeps nothing of them',
  async () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 200 }).map((list) => Buffer.from(list).toString('latin1')),
      fc.tuple(lineText(20), lineText(60), lineText(10)).map((parts) => parts.join(' ')),
      fc.constantFrom(
        'PRI * HTTP/2.0\r\n\r\nSM',
        'GET / HTTP/0.9',
        '\r\n\r\n\r\n',
        '\x16\x03\x01\x02\x00\x01',
      ),
    );
    await check(
      fc.asyncProperty(bytes, async (head) => {
        const connection = await RawConnection.open(server);
        // Ends whatever has begun; what isn't answered is closed.
        connection.send(`${head}\r\n\r\n`);
        connection.end();
        const answer = await connection.rest().catch(() => Buffer.alloc(0));
        connection.destroy();
        expectHarmless(undefined);
        expect(answer.includes(SECRET)).toBe(false);
        expect(answer.toString('latin1')).not.toMatch(/^HTTP\/1\.[01] 5/m);
      }),
    );
  },
  TIME_LIMIT,
);
