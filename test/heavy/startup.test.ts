import { execFile, spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect, it, onTestFinished } from 'vitest';
import { digestOf } from '../../src/cache/digest.ts';
import { keyOfSoftwareUrl } from '../../src/cache/key.ts';
import { ENVIRONMENT, PROGRAM, resultOf, runCache, startCache } from '../cli/command.ts';
import { membersOf } from '../fixtures/entries.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';

const KEYS = process.env['SHACACHE_HEAVY'] ? 100_000 : 2_000;
const urlOf = (number: number) => `https://example.com/${number}/software.cfg`;

/** A store whose entries are all damaged but the first: whoever reads one has to tell of it. */
async function makeStore(): Promise<string> {
  const folder = await temporaryFolder();
  const store = join(folder, 'cache-store');
  mkdirSync(join(store, 'bcache'), { recursive: true });
  mkdirSync(join(store, 'tmp'));
  writeFileSync(join(store, 'store.json'), '{"format": 1}\n');
  for (let number = 0; number < KEYS; number++) {
    const pair = [JSON.stringify(membersOf(urlOf(number))), ''];
    const entries = join(store, 'bdir', keyOfSoftwareUrl(urlOf(number)));
    const entry = { received: '2026-01-01T00:00:00.000Z', entry: pair };
    mkdirSync(entries, { recursive: true });
    writeFileSync(
      join(entries, digestOf(JSON.stringify(pair))),
      number === 0 ? JSON.stringify(entry) : 'damaged',
    );
  }
  return folder;
}

it(`serving ${KEYS} keys answers before it has read their entries`, { timeout: 300_000 }, async () => {
  const folder = await makeStore();
  const server = startCache(folder, ['serve', '--listen', '127.0.0.1:0']);
  const result = resultOf(server);
  const base = await addressOf(server, result);
  const served = await fetch(`${base}/bdir/${keyOfSoftwareUrl(urlOf(0))}`);
  expect(await served.json()).toHaveLength(1);
  server.kill('SIGTERM');
  const { code, stdout, stderr } = await result;
  expect(stdout + stderr).not.toMatch(/damaged/);
  expect(code).toBe(0);
  // What would have happened to a reader of entries:
  const reader = await runCache(folder, 'lookup', '-q', urlOf(1));
  expect(reader.stderr).toMatch(/is damaged/);
});

it('a server listens before it opens or lists anything below bdir', { timeout: 120_000 }, async (context) => {
  await promisify(execFile)('strace', ['-o', '/dev/null', 'true']).catch(() => {
    context.skip('needs strace, and the right to use it');
  });
  const folder = await temporaryFolder();
  const store = join(folder, 'cache-store');
  const entries = join(store, 'bdir', keyOfSoftwareUrl(urlOf(0)));
  mkdirSync(entries, { recursive: true });
  writeFileSync(join(store, 'store.json'), '{"format": 1}\n');
  const pair = [JSON.stringify(membersOf(urlOf(0))), ''];
  const entry = join(entries, digestOf(JSON.stringify(pair)));
  writeFileSync(entry, JSON.stringify({ received: '2026-01-01T00:00:00.000Z', entry: pair }));

  const trace = join(folder, 'trace');
  const args = [
    '-f',
    '-o',
    trace,
    '-e',
    'trace=openat,open,listen',
    ...PROGRAM,
    'serve',
    '--listen',
    '127.0.0.1:0',
  ];
  const server = spawn('strace', args, {
    cwd: folder,
    env: ENVIRONMENT,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const result = resultOf(server);
  // strace doesn't pass signals on: the server is ended by its own number, the first in the trace.
  const endServer = async (): Promise<void> => {
    if (server.exitCode === null) process.kill(Number.parseInt(await readFile(trace, 'utf8'), 10), 'SIGTERM');
    await result;
  };
  onTestFinished(endServer);
  const base = await addressOf(server, result);
  await (await fetch(`${base}/bdir/${keyOfSoftwareUrl(urlOf(0))}`)).text();
  const calls = (await readFile(trace, 'utf8')).split('\n');
  const listening = calls.findIndex((line) => line.includes('listen('));
  const before = calls.slice(0, listening).filter((line) => line.includes('cache-store'));
  expect(before.some((line) => line.includes('store.json'))).toBe(true);
  expect(before.filter((line) => line.includes('bdir'))).toEqual([]);
  // The same look sees a reading that does happen.
  expect(calls.slice(listening).some((line) => line.includes(entry))).toBe(true);
  await endServer();
});

/** Where a server listens, when it has said so. */
function addressOf(
  server: ReturnType<typeof startCache>,
  result: ReturnType<typeof resultOf>,
): Promise<string> {
  return new Promise((resolve, reject) => {
    let shown = '';
    server.stdout?.on('data', (text: string | Buffer) => {
      shown += text.toString();
      const [, url] = /^Serving .* on (http:\/\/127\.0\.0\.1:\d+)$/m.exec(shown) ?? [];
      if (url !== undefined) resolve(url);
    });
    void result.then(({ stderr }) => {
      reject(new Error(`it ended: ${stderr}`));
    });
  });
}
