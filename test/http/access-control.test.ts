import { describe, expect, it, onTestFinished } from 'vitest';
import { digestOf } from '../../src/cache/digest.ts';
import { CacheError } from '../../src/cache/errors.ts';
import { keyOfSoftwareUrl } from '../../src/cache/key.ts';
import type { AccessControl, Identity, Role } from '../../src/http/access-control.ts';
import { membersOf, RAPID_CDN } from '../fixtures/entries.ts';
import { startHttpServer, type HttpServer } from '../fixtures/http-server.ts';
import { ask, headerOf, RawConnection, type RawResponse } from './raw-connection.ts';
import { everythingBelow, upload } from './upload-client.ts';

const CONTENT = 'content of a blob';
const DIGEST = digestOf(CONTENT);
const KEY = keyOfSoftwareUrl(RAPID_CDN);
const ENTRY = JSON.stringify([JSON.stringify(membersOf(RAPID_CDN, { sha512: DIGEST })), '']);

/** Every request that writes. */
const WRITES = [
  ['POST /bcache', (server: HttpServer, headers = {}) => upload(server, CONTENT, { headers })],
  [
    'PUT /bcache/<sha512>',
    (server: HttpServer, headers = {}) =>
      upload(server, CONTENT, { method: 'PUT', target: `/bcache/${DIGEST}`, headers }),
  ],
  [
    'PUT /bdir/<key>',
    (server: HttpServer, headers = {}) =>
      upload(server, ENTRY, { method: 'PUT', target: `/bdir/${KEY}`, headers }),
  ],
] as const satisfies readonly (readonly [string, Send])[];

type Send = (server: HttpServer, headers?: Readonly<Record<string, string>>) => Promise<RawResponse>;

async function start(access?: AccessControl): Promise<HttpServer> {
  const server = await startHttpServer({
    parts: (usual) => ({
      ...usual,
      access: access ?? usual.access,
      upload: { ...usual.upload, allowUnsigned: true },
    }),
  });
  onTestFinished(async () => {
    await server.stop();
  });
  return server;
}

const ROLES: readonly Role[] = ['read', 'upload', 'admin'];

/** Everybody has the password "secret:word", and the role that their name tells. */
function withPassword(name: string, password: string): Promise<Identity | undefined> {
  const role = ROLES.find((known) => known === name);
  return Promise.resolve(role !== undefined && password === 'secret:word' ? { name, role } : undefined);
}

function basic(name: string, password = 'secret:word'): Readonly<Record<string, string>> {
  return { Authorization: `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}` };
}

async function readStatuses(
  server: HttpServer,
  headers: Readonly<Record<string, string>> = {},
): Promise<readonly number[]> {
  const targets = [`/bcache/${DIGEST}`, `/bdir/${KEY}`];
  const responses = await Promise.all(targets.map((target) => ask(server, target, { headers })));
  return responses.map(({ status }) => status);
}

describe('writing, when nothing is configured', () => {
  it.each(WRITES)('is off for %s, and the refusal tells how to switch it on', async (_name, send) => {
    const server = await start();
    const before = await everythingBelow(server.root);
    const response = await send(server);
    expect(response.status).toBe(403);
    expect(response.body.toString()).toMatch(/config\.ini, \[access\] anonymous = upload/);
    expect(headerOf(response, 'WWW-Authenticate')).toBeUndefined();
    expect(await everythingBelow(server.root)).toEqual(before);
  });

  it('is off with any password, while reading is for everybody', async () => {
    const server = await start();
    await server.addBlob(CONTENT);
    expect((await upload(server, CONTENT, { headers: basic('admin') })).status).toBe(403);
    expect(await readStatuses(server)).toEqual([200, 404]);
    expect(await readStatuses(server, basic('nobody', 'wrong'))).toEqual([200, 404]);
  });
});

describe('with passwords', () => {
  it.each(WRITES)('asks who does not say who they are, for %s', async (_name, send) => {
    const server = await start({ anonymous: 'read', withPassword });
    const response = await send(server);
    expect(response.status).toBe(401);
    expect(headerOf(response, 'WWW-Authenticate')).toMatch(/^Basic realm="[^"]+"/);
    expect(response.body.toString()).toContain('user name and password');
  });

  it.each(WRITES)('lets those do %s who have the role, and no others', async (_name, send) => {
    const server = await start({ anonymous: 'read', withPassword });
    await server.addBlob(CONTENT);
    const statuses: number[] = [];
    for (const name of [...ROLES, 'nobody']) statuses.push((await send(server, basic(name))).status);
    expect(statuses).toEqual([403, 201, 201, 401]);
  });

  it('tells somebody whose role is not enough so, and which one is', async () => {
    const server = await start({ anonymous: 'read', withPassword });
    const response = await upload(server, CONTENT, { headers: basic('read') });
    expect(response.status).toBe(403);
    expect(response.body.toString()).toMatch(/^read may not do this; the role "upload" is required/);
    expect(headerOf(response, 'WWW-Authenticate')).toBeUndefined();
  });

  it('reads without a name only where everybody may', async () => {
    const closed = await start({ anonymous: undefined, withPassword });
    await closed.addBlob(CONTENT);
    expect(await readStatuses(closed)).toEqual([401, 401]);
    for (const name of ROLES) expect(await readStatuses(closed, basic(name))).toEqual([200, 404]);
    const open = await start({ anonymous: 'read', withPassword });
    await open.addBlob(CONTENT);
    expect(await readStatuses(open)).toEqual([200, 404]);
    expect(await readStatuses(open, basic('read'))).toEqual([200, 404]);
  });

  it('answers 401 to a wrong password, even where no name is needed', async () => {
    for (const anonymous of [undefined, 'read', 'upload'] as const) {
      const server = await start({ anonymous, withPassword });
      await server.addBlob(CONTENT);
      expect(await readStatuses(server, basic('read', 'wrong'))).toEqual([401, 401]);
      const response = await upload(server, CONTENT, { headers: basic('upload', 'wrong') });
      expect(response.status).toBe(401);
      expect(headerOf(response, 'WWW-Authenticate')).toMatch(/^Basic realm=/);
    }
  });

  it('shows nobody whether a blob is there', async () => {
    const server = await start({ anonymous: undefined, withPassword });
    await server.addBlob(CONTENT);
    const answers = await Promise.all(
      [DIGEST, digestOf('other'), 'x'].map((name) => ask(server, `/bcache/${name}`)),
    );
    expect(new Set(answers.map(({ status, body }) => `${status} ${body.toString()}`)).size).toBe(1);
  });

  it('answers 503, not 401, while it cannot be told who somebody is', async () => {
    const server = await start({
      anonymous: 'read',
      withPassword: () =>
        Promise.reject(new CacheError('unavailable', 'the LDAP server ldap://10.0.0.1 is down')),
    });
    const response = await upload(server, CONTENT, { headers: basic('upload') });
    expect(response.status).toBe(503);
    expect(headerOf(response, 'WWW-Authenticate')).toBeUndefined();
    expect(response.body.toString()).not.toContain('10.0.0.1');
    expect(server.failures).toMatchObject([{ error: { code: 'unavailable' } }]);
    // Who says no name is not held up by it.
    expect((await ask(server, `/bdir/${KEY}`)).status).toBe(404);
  });

  it('lets everybody read what everybody may, also while it cannot be told who somebody is', async () => {
    const server = await start({
      anonymous: 'read',
      withPassword: () => Promise.reject(new CacheError('unavailable', 'the LDAP server is down')),
    });
    await server.addBlob(CONTENT);
    expect(await readStatuses(server, basic('upload'))).toEqual([200, 404]);
    expect(server.failures).toEqual([]);
    expect(server.lines.map(({ user }) => user)).toEqual([undefined, undefined]);
  });

  it('answers 429 to an address that sends too many wrong ones, and logs no failure', async () => {
    const server = await start({
      anonymous: undefined,
      withPassword: () => Promise.reject(new CacheError('too-many', 'too many wrong passwords came from A')),
    });
    const response = await upload(server, CONTENT, { headers: basic('upload') });
    expect(response.status).toBe(429);
    expect(headerOf(response, 'Retry-After')).toBe('16');
    expect(response.body.toString()).toBe('too many wrong passwords came from A\n');
    expect(server.failures).toEqual([]);
  });

  it('tells caches in between to keep blobs to themselves where not everybody may read', async () => {
    for (const [anonymous, directive] of [
      [undefined, 'private'],
      ['read', 'public'],
      ['upload', 'public'],
    ] as const) {
      const server = await start({ anonymous, withPassword });
      await server.addBlob(CONTENT);
      const response = await ask(server, `/bcache/${DIGEST}`, { headers: basic('read') });
      expect(headerOf(response, 'Cache-Control')).toBe(`${directive}, max-age=31536000, immutable`);
    }
  });

  it('answers 500 when the look-up itself is broken', async () => {
    const server = await start({
      anonymous: 'read',
      withPassword: () => Promise.reject(new TypeError('a fault of ours')),
    });
    expect((await upload(server, CONTENT, { headers: basic('upload') })).status).toBe(500);
  });

  it.each([
    '',
    'Basic',
    'Basic ',
    'Basic !!!!',
    'Basic dXBsb2Fk', // no colon
    'Basic OnNlY3JldDp3b3Jk', // no name
    `Basic ${Buffer.from('upload:secret:word').toString('base64')} x`,
    'Bearer dXBsb2FkOnNlY3JldDp3b3Jk',
    'Digest username="upload"',
    'dXBsb2FkOnNlY3JldDp3b3Jk',
    'Negotiate =',
    `Basic ${'A'.repeat(8000)}`,
  ])('answers 401 to an Authorization that says nothing: "%s"', async (value) => {
    const server = await start({ anonymous: 'read', withPassword });
    const response = await upload(server, CONTENT, { headers: { Authorization: value } });
    expect(response.status).toBe(401);
    expect(headerOf(response, 'WWW-Authenticate')).toMatch(/^Basic realm=/);
    expect(server.failures).toEqual([]);
  });

  it.each<[string, (encoded: string) => string]>([
    ['in lower case', (encoded) => `basic ${encoded}`],
    ['in upper case', (encoded) => `BASIC ${encoded}`],
    ['with more spaces', (encoded) => `Basic   ${encoded}  `],
  ])('understands the scheme %s', async (_what, authorization) => {
    const server = await start({ anonymous: 'read', withPassword });
    const encoded = Buffer.from('upload:secret:word').toString('base64');
    const headers = { Authorization: authorization(encoded) };
    expect((await upload(server, CONTENT, { headers })).status).toBe(201);
  });

  it('is given name, password and address as they came', async () => {
    const asked: unknown[] = [];
    const server = await start({
      anonymous: 'read',
      withPassword: (...args) => {
        asked.push(args);
        return Promise.resolve(undefined);
      },
    });
    await upload(server, CONTENT, { headers: basic('Zoë', 'pä:ss wörd ') });
    expect(asked).toEqual([['Zoë', 'pä:ss wörd ', '127.0.0.1']]);
  });

  it('asks for nothing where the request is enough without a name', async () => {
    let asked = 0;
    const server = await start({
      anonymous: 'upload',
      withPassword: () => {
        asked++;
        return Promise.resolve(undefined);
      },
    });
    expect((await upload(server, CONTENT)).status).toBe(201);
    expect(asked).toBe(0);
  });

  it('writes the name to the log where it was proved, and only there', async () => {
    const server = await start({ anonymous: 'read', withPassword });
    await upload(server, CONTENT, { headers: basic('upload') });
    await upload(server, CONTENT, { headers: basic('read') });
    await upload(server, CONTENT, { headers: basic('upload', 'wrong') });
    await upload(server, CONTENT);
    await expect.poll(() => server.lines.length).toBe(4);
    expect(server.lines.map(({ status, user }) => [status, user])).toEqual([
      [201, 'upload'],
      [403, 'read'],
      [401, undefined],
      [401, undefined],
    ]);
    expect(JSON.stringify(server.lines)).not.toContain('secret');
  });

  it('asks again for each request of a connection', async () => {
    const server = await start({ anonymous: 'read', withPassword });
    const connection = await RawConnection.open(server);
    const statuses: number[] = [];
    for (const headers of [basic('upload'), {}, basic('read'), basic('admin')]) {
      connection.request('/bcache', { method: 'POST', headers: { 'Content-Length': '0', ...headers } });
      statuses.push((await connection.response()).status);
    }
    expect(statuses).toEqual([201, 401, 403, 201]);
    connection.destroy();
  });

  it('leaves nothing of an upload whose client goes while it is looked up', async () => {
    let answer: ((identity: Identity) => void) | undefined;
    const server = await start({
      anonymous: 'read',
      withPassword: () =>
        new Promise((resolve) => {
          answer = resolve;
        }),
    });
    const connection = await RawConnection.open(server);
    const headers = { 'Content-Length': '1000', ...basic('upload') };
    connection.request('/bcache', { method: 'POST', headers, body: 'the beginning' });
    await expect.poll(() => answer).toBeDefined();
    connection.destroy();
    await expect.poll(() => server.lines.length).toBe(1);
    answer?.({ name: 'upload', role: 'upload' });
    expect((await ask(server, '/health')).status).toBe(200);
    await expect.poll(() => everythingBelow(server.root)).toEqual(['store.json', 'tmp']);
    expect(server.failures).toEqual([]);
  });

  it('shows its refusal to a client that sends everything before it reads', async () => {
    const server = await start({ anonymous: 'read', withPassword });
    const large = Buffer.alloc(64 * 1024 * 1024);
    expect((await upload(server, large)).status).toBe(401);
    expect((await upload(server, large, { headers: basic('read') })).status).toBe(403);
    expect((await upload(server, large, { method: 'PUT', target: `/bdir/${KEY}` })).status).toBe(401);
    expect(await everythingBelow(server.root)).toEqual(['store.json', 'tmp']);
  });
});
