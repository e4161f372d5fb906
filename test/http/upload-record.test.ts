import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { digestOf } from '../../src/cache/digest.ts';
import { parseEntryText } from '../../src/cache/entry.ts';
import { keyOfSoftwareUrl } from '../../src/cache/key.ts';
import type { AccessControl } from '../../src/http/access-control.ts';
import { recordsIn } from '../fixtures/store-log.ts';
import { membersOf, RAPID_CDN } from '../fixtures/entries.ts';
import { startHttpServer, type HttpServer } from '../fixtures/http-server.ts';
import { ask } from './raw-connection.ts';
import { upload } from './upload-client.ts';

const CONTENT = 'content of a blob';
const DIGEST = digestOf(CONTENT);
const KEY = keyOfSoftwareUrl(RAPID_CDN);
const ENTRY = JSON.stringify([JSON.stringify(membersOf(RAPID_CDN, { sha512: DIGEST })), '']);
const ALICE = { Authorization: `Basic ${Buffer.from('alice:secret').toString('base64')}` };

/** Anybody may upload; alice may say who she is. */
const ACCESS: AccessControl = {
  anonymous: 'upload',
  withPassword: (name, password) =>
    Promise.resolve(name === 'alice' && password === 'secret' ? { name, role: 'upload' } : undefined),
};

async function start(): Promise<HttpServer> {
  const server = await startHttpServer({
    parts: (usual) => ({
      ...usual,
      access: ACCESS,
      upload: { ...usual.upload, allowUnsigned: true, maxBlobSize: 1000 },
    }),
  });
  onTestFinished(async () => {
    await server.stop();
  });
  return server;
}

const putBlob = (server: HttpServer, digest: string = DIGEST, headers = {}) =>
  upload(server, CONTENT, { method: 'PUT', target: `/bcache/${digest}`, headers });
const putEntry = (server: HttpServer, key: string = KEY, headers = {}) =>
  upload(server, ENTRY, { method: 'PUT', target: `/bdir/${key}`, headers });

/** What the log tells, beside the time. */
async function recordsOf({ root }: HttpServer): Promise<readonly Readonly<Record<string, unknown>>[]> {
  return (await recordsIn(root)).map((record) =>
    Object.fromEntries(Object.entries(record).filter(([name]) => name !== 'at')),
  );
}

describe('what is uploaded is recorded', () => {
  it('when it is answered: blobs and entries, by whom and from where', async () => {
    const server = await start();
    const host = 'master';
    expect((await upload(server, CONTENT)).status).toBe(201);
    const blob = { action: 'upload', sha512: DIGEST, size: CONTENT.length };
    const anonymous = { ...blob, who: { remote: '127.0.0.1', host } };
    expect(await recordsOf(server)).toEqual([anonymous]);
    expect((await putBlob(server, DIGEST, ALICE)).status).toBe(201);
    const alice = { ...blob, who: { user: 'alice', remote: '127.0.0.1', host } };
    expect(await recordsOf(server)).toEqual([anonymous, alice]);
    expect((await putEntry(server, KEY, ALICE)).status).toBe(201);
    const { digest: entry } = parseEntryText(ENTRY);
    expect(await recordsOf(server)).toEqual([
      anonymous,
      alice,
      { ...alice, key: KEY, entry, softwareUrl: RAPID_CDN },
    ]);
  });

  it('only once for an entry that comes again', async () => {
    const server = await start();
    await server.addBlob(CONTENT);
    for (let round = 0; round < 3; round++) expect((await putEntry(server)).status).toBe(201);
    expect(await recordsOf(server)).toHaveLength(1);
  });

  it('and nothing else is: no download, no refusal', async () => {
    const server = await start();
    await server.addBlob(CONTENT);
    const statuses = [
      await ask(server, `/bcache/${DIGEST}`),
      await ask(server, `/bdir/${KEY}`),
      await putBlob(server, digestOf('other')),
      await putEntry(server, keyOfSoftwareUrl('https://example.org/other')),
      await upload(server, 'x'.repeat(1001)),
      await upload(server, CONTENT, {
        headers: { Authorization: `Basic ${Buffer.from('alice:guess').toString('base64')}` },
      }),
    ].map(({ status }) => status);
    expect(statuses).toEqual([200, 404, 400, 400, 413, 401]);
    expect(await recordsOf(server)).toEqual([]);
  });

  it('once each when many upload at once', async () => {
    const server = await start();
    const contents = Array.from({ length: 60 }, (_item, number) => `blob ${number}`);
    const answers = await Promise.all(contents.map((content) => upload(server, content)));
    expect(answers.map(({ status }) => status)).toEqual(contents.map(() => 201));
    const digests = (await recordsOf(server)).map(({ sha512 }) => sha512);
    expect([...digests].sort()).toEqual(contents.map((content) => digestOf(content)).sort());
  });
});

describe('what cannot be recorded', () => {
  it('is uploaded all the same, and the server says so in its own log', async () => {
    const server = await start();
    await writeFile(join(server.root, 'log'), 'in the way');
    expect((await upload(server, CONTENT)).status).toBe(201);
    expect((await putEntry(server)).status).toBe(201);
    expect((await ask(server, `/bcache/${DIGEST}`)).body.toString()).toBe(CONTENT);
    expect((await ask(server, `/bdir/${KEY}`)).status).toBe(200);
    expect(server.failures).toHaveLength(2);
    const ids = server.lines.map(({ requestId }) => requestId);
    for (const { requestId, error } of server.failures) {
      expect(ids).toContain(requestId);
      expect(error).toMatchObject({ code: 'storage' });
      expect(String(error)).toContain(join(server.root, 'log'));
    }
    await rm(join(server.root, 'log'));
    expect((await upload(server, CONTENT)).status).toBe(201);
    expect(await recordsOf(server)).toHaveLength(1);
  });
});
