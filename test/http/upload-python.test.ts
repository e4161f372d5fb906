import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { createTrustedCertificates } from '../../src/cache/signature.ts';
import type { AppParts } from '../../src/http/app.ts';
import { RAPID_CDN } from '../fixtures/entries.ts';
import { startHttpServer, type HttpServer } from '../fixtures/http-server.ts';
import { makePairByOpenssl, type OpensslPair } from '../fixtures/signing-keys.ts';
import { makeSoftwareRelease, packRelease } from '../fixtures/software-release.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { lacks, testedHosts } from './outside-programs.ts';
import { python } from './python-judge.ts';
import { everythingBelow } from './upload-client.ts';

let folder: string;
let archive: string;
let signing: OpensslPair;
let foreign: OpensslPair;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shacache-python-'));
  archive = join(folder, 'archive.tar.gz');
  const release = await makeSoftwareRelease(join(folder, 'root'), RAPID_CDN, { payload: 3_000_000 });
  await packRelease(release, archive, { packer: 'python' });
  [signing, foreign] = await Promise.all([
    makePairByOpenssl(folder, 'sign'),
    makePairByOpenssl(folder, 'foreign'),
  ]);
});

afterAll(() => rm(folder, { recursive: true, force: true }));

async function start(
  host = '127.0.0.1',
  change: (usual: AppParts) => Partial<AppParts> = () => ({ access: { anonymous: 'upload' } }),
): Promise<HttpServer> {
  const server = await startHttpServer({
    host,
    parts: (usual) => ({
      ...usual,
      trusted: createTrustedCertificates([{ pem: signing.certificate, where: 'test' }]),
      ...change(usual),
    }),
  });
  onTestFinished(async () => {
    await server.stop();
  });
  return server;
}

function uploads(base: string, ...more: readonly string[]): Promise<Record<string, unknown>> {
  const command = ['upload', '--url', RAPID_CDN, '--file', archive, '--sign-key', signing.keyFile];
  return python(base, ...command, ...more);
}

describe.skipIf(lacks('python3', 'openssl'))('what Python uploads', () => {
  it.each(testedHosts())('over %s another node selects, verifies and installs', async (host) => {
    const server = await start(host);
    expect(await uploads(server.url)).toMatchObject({ code: 0, probe: 404 });
    expect(await uploads(server.url)).toMatchObject({ code: 0, probe: 200 });
    const root = await temporaryFolder();
    const args = ['--url', RAPID_CDN, '--certificate', signing.certificateFile, '--root', root];
    expect(await python(server.url, 'install', ...args)).toMatchObject({ code: 0, statuses: [200] });
  });

  it('may come by PUT, and in chunks', async () => {
    for (const how of [['--method', 'PUT'], ['--chunked'], ['--method', 'PUT', '--chunked']]) {
      const server = await start();
      expect(await uploads(server.url, ...how)).toMatchObject({ code: 0, probe: 404 });
    }
  });

  it('is refused as replayed, foreign or unsigned, each in its own words', async () => {
    const server = await start();
    const replayed = await uploads(server.url, '--key', '0'.repeat(32));
    expect(replayed['error']).toMatch(/PUT \/bdir\/0{32}: 400 .*does not belong under key/);
    const forged = await uploads(server.url, '--sign-key', foreign.keyFile);
    expect(forged['error']).toMatch(/: 403 no trusted certificate verifies the signature/);
    const unsigned = await python(server.url, 'upload', '--url', RAPID_CDN, '--file', archive);
    expect(unsigned['error']).toMatch(/: 403 the entry is not signed/);
    expect(await python(server.url, 'lookup', '--url', RAPID_CDN)).toMatchObject({ found: false });
  });

  it('shows it every refusal, although it sends everything before it looks', async () => {
    const large = join(folder, 'large');
    await writeFile(large, Buffer.alloc(80 * 1024 * 1024));
    const send = async (server: HttpServer, base = server.url): Promise<readonly unknown[]> => {
      const ends: unknown[] = [];
      for (const how of [[], ['--chunked']]) {
        const { error } = await uploads(base, '--file', large, ...how);
        ends.push(/: (\d{3}) /.exec(String(error))?.[1] ?? error);
      }
      expect(await everythingBelow(server.root)).toEqual(['store.json', 'tmp']);
      return ends;
    };
    const small = await start('127.0.0.1', ({ upload }) => ({
      access: { anonymous: 'upload' },
      upload: { ...upload, maxBlobSize: 1000 },
    }));
    expect(await send(small)).toEqual(['413', '413']);
    expect(await send(await start('127.0.0.1', () => ({})))).toEqual(['403', '403']);
    const withPasswords = await start('127.0.0.1', () => ({
      access: { anonymous: 'read', withPassword: () => Promise.resolve(undefined) },
    }));
    expect(await send(withPasswords)).toEqual(['401', '401']);
    // As from a node whose URL is mistyped.
    const open = await start();
    expect(await send(open, `${open.url}/wrong`)).toEqual(['404', '404']);
    expect(await send(open, `${open.url}/bdir`)).toEqual(['405', '405']);
  });

  it('may be allowed by a name and password in the URL', async () => {
    const server = await start('127.0.0.1', () => ({
      access: {
        anonymous: 'read',
        withPassword: (name, password) =>
          Promise.resolve(
            name === 'us er' && password === 'p@ss:wörd' ? { name, role: 'upload' } : undefined,
          ),
      },
    }));
    const baseOf = (userInfo: string): string => server.url.replace('//', `//${userInfo}@`);
    expect(await uploads(baseOf('us%20er:p%40ss%3Aw%C3%B6rd'))).toMatchObject({ code: 0, probe: 404 });
    expect((await uploads(baseOf('us%20er:wrong')))['error']).toMatch(/401/);
    expect(server.lines.filter(({ status }) => status === 201).map(({ user }) => user)).toEqual([
      'us er',
      'us er',
    ]);
  });
});
