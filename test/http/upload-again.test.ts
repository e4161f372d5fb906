import { join } from 'node:path';
import { describe, expect, it, type TestContext } from 'vitest';
import { digestOf } from '../../src/cache/digest.ts';
import { keyOfSoftwareUrl } from '../../src/cache/key.ts';
import { membersOf, RAPID_CDN } from '../fixtures/entries.ts';
import { attachStrace, onSync, syncedPaths } from '../fixtures/system-calls.ts';
import { lacks } from './outside-programs.ts';
import type { Place, RawResponse } from './raw-connection.ts';
import { ask } from './raw-connection.ts';
import { ServeProcess } from './serve-process.ts';
import { upload } from './upload-client.ts';

const CONFIG = '[access]\nanonymous = upload\n[upload]\nallow-unsigned = true\nmin-free-space = 0\n';
const CONTENT = 'content of a blob';
const SHA512 = digestOf(CONTENT);
const KEY = keyOfSoftwareUrl(RAPID_CDN);
const ENTRY = JSON.stringify([JSON.stringify(membersOf(RAPID_CDN, { sha512: SHA512 })), '']);

function putEntry(place: Place): Promise<RawResponse> {
  return upload(place, ENTRY, { method: 'PUT', target: `/bdir/${KEY}` });
}

async function start(): Promise<{
  readonly serve: ServeProcess;
  readonly place: Place;
  readonly bcache: string;
  readonly bdir: string;
  readonly keyFolder: string;
}> {
  const serve = await ServeProcess.start({ config: CONFIG });
  const [bcache, bdir] = [join(serve.root, 'bcache'), join(serve.root, 'bdir')];
  const place = { host: '127.0.0.1', port: await serve.port() };
  return { serve, place, bcache, bdir, keyFolder: join(bdir, KEY) };
}

/** What was synced before the last answer of 201 went out. */
function syncedBeforeAnswer(calls: readonly string[]): readonly string[] {
  const answer = calls.findLastIndex((call) => /^writev?\(.*HTTP\/1\.1 201/.test(call));
  expect(answer).toBeGreaterThan(-1);
  return syncedPaths(calls.slice(0, answer));
}

describe.skipIf(lacks('strace'))('what is there already is answered 201 only when it is on the disk:', () => {
  it('an entry whose folder could not be synced the first time', async (context: TestContext) => {
    const { serve, place, bdir, keyFolder } = await start();
    expect((await upload(place, CONTENT)).status).toBe(201);
    const broken = await attachStrace(context, serve.pid, onSync(keyFolder, 'error=EIO'));
    expect((await putEntry(place)).status).toBe(500);
    await broken.end();
    const watched = await attachStrace(context, serve.pid);
    expect((await putEntry(place)).status).toBe(201);
    expect(syncedBeforeAnswer(await watched.end())).toEqual(
      expect.arrayContaining([keyFolder, bdir, serve.root]),
    );
    // Known to be there for good: not once more.
    const again = await attachStrace(context, serve.pid);
    expect((await putEntry(place)).status).toBe(201);
    expect(syncedBeforeAnswer(await again.end())).toEqual([]);
  });

  it('an entry whose blob lies in a folder that could not be synced', async (context: TestContext) => {
    const { serve, place, bcache } = await start();
    const broken = await attachStrace(context, serve.pid, onSync(bcache, 'error=EIO'));
    expect((await upload(place, CONTENT)).status).toBe(500);
    await broken.end();
    // A client looks whether the blob is there, and then uploads the entry alone.
    expect((await ask(place, `/bcache/${SHA512}`)).status).toBe(200);
    const watched = await attachStrace(context, serve.pid);
    expect((await putEntry(place)).status).toBe(201);
    expect(syncedBeforeAnswer(await watched.end())).toContain(bcache);
  });

  it('an entry that another client is just uploading', async (context: TestContext) => {
    const { serve, place, keyFolder } = await start();
    expect((await upload(place, CONTENT)).status).toBe(201);
    // Long enough to be overtaken, by who doesn't wait for the disk.
    const slow = await attachStrace(context, serve.pid, onSync(keyFolder, 'delay_enter=3000000'));
    const first = putEntry(place);
    await expect.poll(async () => (await ask(place, `/bdir/${KEY}`)).status).toBe(200);
    expect((await putEntry(place)).status).toBe(201);
    expect(syncedPaths(await slow.calls())).toContain(keyFolder);
    expect((await first).status).toBe(201);
    await slow.end();
  });
});
