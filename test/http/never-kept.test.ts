import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { Digest } from '../../src/cache/digest.ts';
import { CacheError } from '../../src/cache/errors.ts';
import type { Signer } from '../../src/cache/signature.ts';
import type { AccessControl } from '../../src/http/access-control.ts';
import type { Metrics } from '../../src/http/health.ts';
import { STYLE_PATH } from '../../src/http/page/assets.ts';
import { startHttpServer, type HttpServer } from '../fixtures/http-server.ts';
import { startPageServer } from '../fixtures/page-server.ts';
import { addRelease, keyOf, signRelease } from '../operations/test-store.ts';
import { ask, askRaw, headerOf, type RawRequest, type RawResponse } from './raw-connection.ts';
import { createTestSigner } from './test-signer.ts';

const NONE = '0'.repeat(128);
const RELEASE = { content: 'a release' };

const access: AccessControl = {
  anonymous: 'read',
  withPassword: (name) => {
    if (name === 'nobody') return Promise.resolve(undefined);
    if (name === 'reader') return Promise.resolve({ name, role: 'read' });
    if (name === 'hurried') return Promise.reject(new CacheError('too-many', 'too many'));
    if (name === 'ldap') return Promise.reject(new CacheError('unavailable', 'not now'));
    return Promise.resolve({ name, role: 'admin' });
  },
};

let signer: Signer;
let server: HttpServer;
let digest: Digest;

beforeAll(async () => {
  signer = await createTestSigner();
  server = await startHttpServer({
    minFreeSpace: 1,
    parts: (usual) => ({ ...usual, access, upload: { maxBlobSize: 2 ** 60, allowUnsigned: true } }),
  });
  digest = (await addRelease(server, signer, RELEASE)).sha512;
});

afterAll(() => server.stop());

const as = (name: string): Readonly<Record<string, string>> => ({
  Authorization: `Basic ${Buffer.from(`${name}:x`).toString('base64')}`,
});
const send = (target: string, request: RawRequest = {}) => ask(server, target, request);
const put = (target: string, body: string, headers = as('writer')) =>
  send(target, {
    method: 'PUT',
    headers: { 'Content-Length': String(Buffer.byteLength(body)), ...headers },
    body,
  });
const entryOf = (content: string) =>
  JSON.stringify([...signRelease(signer, { content }).pair.slice(0, 1), '']);

const REFUSALS: readonly (readonly [what: string, status: number, ask: () => Promise<RawResponse>])[] = [
  ['what is no request', 400, () => askRaw(server, 'nonsense\r\n\r\n')],
  ['two Hosts', 400, () => askRaw(server, 'GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n')],
  ['no Host', 400, () => askRaw(server, 'GET /health HTTP/1.1\r\n\r\n')],
  ['a digest that is none', 400, () => send('/bcache/0')],
  ['an entry that is none', 400, () => put(`/bdir/${keyOf()}`, '[]')],
  ['bytes that are others', 400, () => put(`/bcache/${NONE}`, 'bytes')],
  ['a wrong password', 401, () => send(`/bdir/${keyOf()}`, { headers: as('nobody') })],
  ['an upload without password', 401, () => put(`/bcache/${NONE}`, 'bytes', {})],
  ['an upload of a reader', 403, () => put(`/bcache/${NONE}`, 'bytes', as('reader'))],
  ['a blob that is missing', 404, () => send(`/bcache/${NONE}`)],
  ['a blob that is missing, asked by HEAD', 404, () => send(`/bcache/${NONE}`, { method: 'HEAD' })],
  ['a key that is missing', 404, () => send('/bdir/pypi:a=1')],
  ['another path', 404, () => send('/')],
  ['another method', 405, () => send(`/bcache/${digest}`, { method: 'DELETE' })],
  ['health, written to', 405, () => send('/health', { method: 'POST' })],
  ['an entry before its blob', 409, () => put(`/bdir/${keyOf()}`, entryOf('not there'))],
  ['a blob, if it is another', 412, () => send(`/bcache/${digest}`, { headers: { 'If-Match': '"x"' } })],
  ['a list, if it is another', 412, () => send(`/bdir/${keyOf()}`, { headers: { 'If-Match': '"x"' } })],
  ['an entry that is too large', 413, () => put(`/bdir/${keyOf()}`, ' '.repeat(2 ** 21))],
  ['a range behind the end', 416, () => send(`/bcache/${digest}`, { headers: { Range: 'bytes=99-' } })],
  ['another expectation', 417, () => send('/health', { headers: { Expect: 'tea' } })],
  ['too many passwords', 429, () => send(`/bdir/${keyOf()}`, { headers: as('hurried') })],
  ['a head that is too long', 431, () => send('/health', { headers: { A: 'x'.repeat(20_000) } })],
  [
    'a transfer coding',
    400,
    () => send('/health', { headers: { 'Transfer-Encoding': 'gzip, chunked' }, body: '0\r\n\r\n' }),
  ],
  ['a password that nobody can tell', 503, () => put(`/bcache/${NONE}`, 'bytes', as('ldap'))],
  [
    'a blob for which there is no room',
    507,
    () =>
      put(`/bcache/${NONE}`, '', {
        ...as('writer'),
        'Content-Length': String(2 ** 59),
        Expect: '100-continue',
      }),
  ],
];

describe('no cache in between keeps', () => {
  it.each(REFUSALS)('%s (%i)', async (_what, status, request) => {
    const response = await request();
    expect([response.status, headerOf(response, 'Cache-Control')]).toEqual([status, 'no-store']);
    expect(response.headers.filter(([name]) => /^cache-control$/i.test(name))).toHaveLength(1);
  });

  it('what the disk fails to give (500)', async () => {
    const broken = await startHttpServer({
      wrapStorage: (storage) => ({ ...storage, open: () => Promise.reject(new Error('EIO')) }),
    });
    const response = await ask(broken, `/bcache/${digest}`);
    expect([response.status, headerOf(response, 'Cache-Control')]).toEqual([500, 'no-store']);
    await broken.stop();
  });

  it('what was written (201), and health (200)', async () => {
    const blob = await send('/bcache', {
      method: 'POST',
      headers: { ...as('writer'), 'Content-Length': '1' },
      body: 'x',
    });
    const entry = await put(`/bdir/${keyOf()}`, entryOf(RELEASE.content));
    const health = await send('/health');
    const statuses = [blob, entry, health].map((each) => [each.status, headerOf(each, 'Cache-Control')]);
    expect(statuses).toEqual([201, 201, 200].map((status) => [status, 'no-store']));
  });
});

it('every route says whether its answer may be kept, and for which clients', async () => {
  const metrics: Metrics = {
    observer: { begin: () => undefined, end: () => undefined },
    ...{ contentType: 'text/plain', role: 'none', text: () => Promise.resolve('') },
  };
  const readiness = () => ({ reasons: [], warnings: [] });
  const pages = await startPageServer({
    ...{ signers: [signer], isLogPublic: true, parts: { metrics, readiness } },
  });
  onTestFinished(async () => {
    await pages.stop();
  });
  const { sha512 } = await addRelease(pages, signer, RELEASE);
  await expect.poll(() => pages.catalog.state.releases).toBe(1);
  const routes = ['bdir/', `bdir/${keyOf()}`, `bcache/${sha512}`, 'slapos.cfg', 'health', 'ready', 'metrics'];
  const ofCatalog = ['v1/_catalog', `v1/releases/${keyOf()}`, 'v1/openapi.json'];
  const ofPages = ['', 'sources', 'check', `release/${keyOf()}`, 'log', STYLE_PATH];
  for (const path of [...routes, ...ofCatalog, ...ofPages]) {
    const answers = await Promise.all(
      ['*/*', 'text/html'].map((Accept) => ask(pages, `/${path}`, { headers: { Accept } })),
    );
    const [plain, html] = answers;
    for (const answer of answers) {
      const told = answer.headers.filter(([name]) => /^cache-control$/i.test(name));
      expect({ path, status: answer.status, told: told.length }).toEqual({ path, status: 200, told: 1 });
    }
    if (plain?.body.equals(html?.body ?? Buffer.alloc(0)) === true) continue;
    for (const answer of answers)
      expect(`${headerOf(answer, 'Cache-Control') ?? ''} ${headerOf(answer, 'Vary') ?? ''}`, path).toMatch(
        /no-store|Accept/,
      );
  }
});

describe('caches in between', () => {
  it('may keep a blob for ever, and must ask again for lists', async () => {
    const answers = [
      await send(`/bcache/${digest}`),
      await send(`/bcache/${digest}`, { headers: { Range: 'bytes=1-2' } }),
      await send(`/bcache/${digest}`, { headers: { 'If-None-Match': `"${digest}"` } }),
      await send(`/bdir/${keyOf()}`),
      await send('/bdir/'),
      await send('/bdir/', { method: 'HEAD' }),
    ];
    expect(answers.map((each) => [each.status, headerOf(each, 'Cache-Control')])).toEqual([
      ...[200, 206, 304].map((status) => [status, 'public, max-age=31536000, immutable']),
      ...[200, 200, 200].map((status) => [status, 'no-cache']),
    ]);
  });
});
