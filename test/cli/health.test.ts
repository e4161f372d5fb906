import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { ServeProcess } from '../http/serve-process.ts';
import { runCache } from './command.ts';

let folder: string;

beforeEach(async () => {
  folder = await temporaryFolder();
});

const cache = (...args: readonly string[]) => runCache(folder, ...args);

/** A server of something else. @returns its port */
async function otherServer(body: string): Promise<number> {
  const server = createServer((_request, response) => response.end(body));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

describe('cache health', () => {
  it('says that the named server answers, with its version', async () => {
    const server = await ServeProcess.start();
    const url = `http://127.0.0.1:${await server.port()}`;
    const { code, stdout, stderr } = await cache('health', '--server', url);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(new RegExp(`^${url} answers: shacache \\S+, Node \\d+\\.\\S+(, commit \\S+)?\n$`));
  });

  it.each(['', 'tls = auto\n'])('asks the server of the configuration by itself (%j)', async (tls) => {
    const other = join(folder, 'other.ini');
    const server = await ServeProcess.start({ config: `[server]\n${tls}` });
    const [url = ''] = await server.urls();
    const { port: own, protocol } = new URL(url);
    await writeFile(other, `[server]\nlisten = [::]:${own}\n${tls}[store]\npath = ${server.root}\n`);
    const { code, stdout, stderr } = await cache('health', '-c', other);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toContain(`${protocol}//127.0.0.1:${own} answers`);
  });

  it('shows what another server says in one line', async () => {
    const port = await otherServer('{"status":"ok","version":"1\\u001b[2J\\ncache: forged"}');
    expect(await cache('health', '--server', `http://127.0.0.1:${port}`)).toEqual({
      ...{ code: 0, stderr: '' },
      stdout: `http://127.0.0.1:${port} answers: shacache 1\\u001b[2J\\u000acache: forged\n`,
    });
  });

  it('ends with 3 if nobody listens, or something else answers', async () => {
    const port = await otherServer('{"status":"fine"}');
    expect(await cache('health', '--server', `http://127.0.0.1:${port}`)).toEqual({
      ...{ code: 3, stdout: '' },
      stderr: `cache: http://127.0.0.1:${port}/health: the answer is not that of this program; correct the URL\n`,
    });
    const text = await otherServer('fine');
    expect(await cache('health', '--server', `http://127.0.0.1:${text}`)).toMatchObject({ code: 3 });
    const { code, stderr } = await cache('health', '--server', 'http://127.0.0.1:9');
    expect({ code, stderr }).toMatchObject({
      code: 3,
      stderr: expect.stringMatching(/^cache: http:\/\/127\.0\.0\.1:9\/health: .*ECONNREFUSED.*\n$/) as string,
    });
  });
});
