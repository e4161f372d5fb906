import { execFile, spawnSync } from 'node:child_process';
import { readdir, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import { createKeyPair } from '../../src/cache/certificate.ts';
import { defaultConfig } from '../../src/config/config.ts';
import { formatHost } from '../../src/http/listener.ts';
import { addSparseBlob, isListening, loopbackHosts, startHttpServer } from '../fixtures/http-server.ts';
import { lacks, say, testedHosts } from './outside-programs.ts';
import { RawConnection, type Place } from './raw-connection.ts';
import { mostHeld } from './socket-buffers.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { MAIN, ServeProcess } from './serve-process.ts';

/** More than the sockets of both sides hold: the download can't be over before it is read. */
const SIZE = Math.max(128 * 1024 * 1024, 2 * mostHeld());

interface Download {
  readonly serve: ServeProcess;
  readonly place: Place;
  readonly connection: RawConnection;
}

async function startDownload(): Promise<Download> {
  const serve = await ServeProcess.start();
  const place = { host: '127.0.0.1', port: await serve.port() };
  const connection = await RawConnection.open(place);
  connection.request(`/bcache/${await addSparseBlob(serve.root, SIZE)}`);
  expect((await connection.head()).status).toBe(200);
  return { serve, place, connection };
}

describe.each(['SIGTERM', 'SIGINT'] as const)('%s', (signal) => {
  it('lets a download that runs come to its end, takes no more connections, and ends with 0', async () => {
    const { serve, place, connection } = await startDownload();
    serve.signal(signal);
    await expect.poll(() => isListening(place), { timeout: 10_000 }).toBe(false);
    await connection.discard(SIZE);
    expect(await connection.rest()).toHaveLength(0);
    expect(await serve.exit).toEqual({ code: 0, signal: null });
    const line = serve.stderr.split('\n').find((text) => text.includes('/bcache/'));
    expect(JSON.parse(line ?? '{}')).toMatchObject({ status: 200, aborted: false });
    expect(serve.stderr).not.toContain('still busy');
  });

  it('ends with 0 when nothing runs', async () => {
    const serve = await ServeProcess.start();
    await serve.port();
    serve.signal(signal);
    expect(await serve.exit).toEqual({ code: 0, signal: null });
  });

  it('does not wait for connections that are kept for later', async () => {
    const serve = await ServeProcess.start();
    const connection = await RawConnection.open({ host: '127.0.0.1', port: await serve.port() });
    connection.request('/health');
    expect((await connection.response()).status).toBe(200);
    serve.signal(signal);
    expect(await connection.rest()).toHaveLength(0);
    expect(await serve.exit).toEqual({ code: 0, signal: null });
    expect(serve.stderr).not.toContain('still busy');
  });

  it('ends at once when it comes a second time', async () => {
    const { serve, place, connection } = await startDownload();
    serve.signal(signal);
    await expect.poll(() => isListening(place), { timeout: 10_000 }).toBe(false);
    serve.signal(signal === 'SIGTERM' ? 'SIGINT' : 'SIGTERM');
    // Nobody reads the download: it can't have come to its end.
    expect(await serve.exit).toEqual({ code: 1, signal: null });
    await expect(connection.discard(SIZE)).rejects.toThrow();
  });
});

describe('a start that fails', () => {
  async function expectRefused(serve: ServeProcess, code: number, words: RegExp): Promise<void> {
    expect(await serve.exit).toEqual({ code, signal: null });
    expect(serve.stderr).toMatch(words);
    expect(serve.stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(serve.stdout).toBe('');
  }

  it.each(testedHosts())('tells in one line that the port is in use on %s', async (host) => {
    const other = createServer();
    await new Promise<void>((resolve) => other.listen({ host, port: 0 }, resolve));
    onTestFinished(() => void other.close());
    const { port } = other.address() as AddressInfo;
    const listen = `${formatHost(host)}:${port}`;
    await expectRefused(await ServeProcess.start({ listen }), 2, /^cache: .*in use/);
    // Those that were free are given back: a second address is no reason to stay.
    const both = `${formatHost(host)}:0 ${listen}`;
    await expectRefused(await ServeProcess.start({ listen: both }), 2, /^cache: .*in use/);
  });

  it('tells in one line that this machine has no such address', async () => {
    // TEST-NET-1 of RFC 5737: nobody's.
    await expectRefused(await ServeProcess.start({ listen: '192.0.2.1:0' }), 2, /^cache: .*no such address/);
  });

  it('tells in one line that the configuration is wrong', async () => {
    await expectRefused(await ServeProcess.start({ config: '[serverr]\n' }), 2, /^cache: .*serverr/);
  });

  it('tells in one line that the store cannot be read', async () => {
    const prepare = (root: string): Promise<void> => writeFile(join(root, 'store.json'), '{"format": 99}');
    await expectRefused(await ServeProcess.start({ prepare }), 3, /^cache: .*format 99/);
  });

  it('tells in one line that the store is not there, and makes none where its disk may not be mounted', async () => {
    const serve = await ServeProcess.start({ prepare: (root) => rm(root, { recursive: true }) });
    await expectRefused(serve, 3, /^cache: there is no store at .*is its disk mounted\?/);
    await expect(stat(serve.root)).rejects.toThrow('ENOENT');
  });

  it.each(['htpasswd-file', 'client-ca-file'])(
    'tells in one line that the %s is not there, before it writes anything',
    async (key) => {
      const prepare = (root: string): Promise<void> => rm(join(root, 'bcache'), { recursive: true });
      const config = `[server]\ntls = auto\n[access]\n${key} = none\n`;
      const folder = await temporaryFolder();
      const serve = await ServeProcess.start({ folder, config, prepare, listen: 'https://127.0.0.1:0' });
      const message = `^cache: .*config\\.ini: \\[access\\] ${key}: there is no file .*/none; correct the path`;
      await expectRefused(serve, 2, new RegExp(message));
      expect((await readdir(folder)).sort()).toEqual(['config.ini', 'store']);
      expect(await readdir(serve.root)).toEqual([]);
    },
  );

  it('tells in one line that the store is a file', async () => {
    const prepare = async (root: string): Promise<void> => {
      await rm(root, { recursive: true });
      await writeFile(root, 'x');
    };
    const message = /^cache: .*config\.ini: \[store\] path: .*store is no folder/;
    await expectRefused(await ServeProcess.start({ prepare }), 2, message);
  });
});

function lacksIpv6(): boolean {
  const lacking = !loopbackHosts().includes('::1');
  if (lacking) say('skipped here: the default address; this machine has no ::1');
  return lacking;
}

function lacksNamespaces(): boolean {
  const lacking = spawnSync('unshare', ['-n', 'true']).status !== 0;
  if (lacking) say('skipped here: network namespaces are not allowed');
  return lacking;
}

/** In a network of its own, because the default address is every address of the machine. */
const DEFAULT_ADDRESS = `
  ip link set lo up
  "$0" "$1" serve -q 2>/dev/null & server=$!
  curl -q --noproxy '*' -s --retry 100 --retry-connrefused --retry-max-time 30 -o /dev/null -w '%{http_code} ' http://127.0.0.1:5050/health
  curl -q --noproxy '*' -s -g -o /dev/null -w '%{http_code}' 'http://[::1]:5050/health'
  kill $server; wait $server; echo " exit $?"
`;

describe('the default address', () => {
  it.skipIf(lacks('unshare', 'ip', 'curl') || lacksNamespaces() || lacksIpv6())(
    'takes IPv6 and IPv4',
    async () => {
      const [address] = defaultConfig('/').server.listen;
      expect(address).toMatchObject({ scheme: 'http', host: '::', port: 5050 });
      const args = ['-n', 'bash', '-c', DEFAULT_ADDRESS, process.execPath, MAIN];
      const { stdout } = await promisify(execFile)('unshare', args, { cwd: await temporaryFolder() });
      expect(stdout).toBe('200 200 exit 0\n');
    },
  );
});

it('a TLS server is stopped in time though somebody has connected who says nothing', async () => {
  const { certificate, privateKey } = await createKeyPair({
    commonName: 'localhost',
    days: 1,
    bits: 2048,
    server: { dnsNames: ['localhost'], ipAddresses: ['127.0.0.1'] },
  });
  const server = await startHttpServer({ tls: { certificate, privateKey, clientCa: undefined } });
  const silent = await RawConnection.open(server);
  // Node itself waits two minutes for the handshake, longer than a test may take.
  await server.stop(1);
  silent.destroy();
});
