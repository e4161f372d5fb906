import { copyFile, mkdtemp, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createAuthority, type IssuedCertificate } from '../fixtures/certificate-authority.ts';
import { addSparseBlob } from '../fixtures/http-server.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import type { Place } from './raw-connection.ts';
import { ServeProcess } from './serve-process.ts';
import { certificateShown, openTls, placeOf } from './tls-connection.ts';

const MIB = 1024 * 1024;
/** Longer than what watches the files needs to look again, twice over. */
const PATIENCE = { timeout: 20_000 };

let folder: string;
let authority: IssuedCertificate;
let oldPair: IssuedCertificate;
let newPair: IssuedCertificate;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shacache-renewal-'));
  authority = await createAuthority(folder, 'site-ca');
  [oldPair, newPair] = await Promise.all([authority.issue('old'), authority.issue('new')]);
});

afterAll(() => rm(folder, { recursive: true, force: true }));

interface Served {
  readonly serve: ServeProcess;
  readonly place: Place;
  readonly certificateFile: string;
  readonly keyFile: string;
}

async function start(prepare?: (root: string) => Promise<unknown>): Promise<Served> {
  const at = await temporaryFolder();
  const [certificateFile, keyFile] = [join(at, 'tls.crt'), join(at, 'tls.key')];
  await copyFile(oldPair.certificateFile, certificateFile);
  await copyFile(oldPair.keyFile, keyFile);
  const serve = await ServeProcess.start({
    folder: at,
    listen: 'https://127.0.0.1:0',
    config: `[server]\ntls-certificate = ${certificateFile}\ntls-key = ${keyFile}\n`,
    ...(prepare === undefined ? {} : { prepare }),
  });
  const [url = ''] = await serve.urls();
  await expect.poll(() => serve.stderr, PATIENCE).toContain('"serving ');
  return { serve, place: placeOf(url), certificateFile, keyFile };
}

async function nameShown(place: Place): Promise<string> {
  return (await certificateShown(place)).subject;
}

/** As a program that renews certificates does it: the whole file at once. */
async function replace(file: string, text: string): Promise<void> {
  await writeFile(`${file}.new`, text);
  await rename(`${file}.new`, file);
}

describe('a certificate that is renewed', () => {
  it('is used when both files have changed', async () => {
    const { place, certificateFile, keyFile } = await start();
    expect(await nameShown(place)).toBe('CN=old');
    await replace(keyFile, newPair.privateKey);
    await replace(certificateFile, newPair.certificate);
    await expect.poll(() => nameShown(place), PATIENCE).toBe('CN=new');
  });

  it('is used when the files are written over in place', async () => {
    const { place, certificateFile, keyFile } = await start();
    await writeFile(certificateFile, newPair.certificate);
    await writeFile(keyFile, newPair.privateKey);
    await expect.poll(() => nameShown(place), PATIENCE).toBe('CN=new');
  });

  it('is used when symbolic links are set to others', async () => {
    const { place, certificateFile, keyFile } = await start();
    for (const [file, target] of [
      [keyFile, newPair.keyFile],
      [certificateFile, newPair.certificateFile],
    ] as const) {
      await symlink(target, `${file}.new`);
      await rename(`${file}.new`, file);
    }
    await expect.poll(() => nameShown(place), PATIENCE).toBe('CN=new');
  });

  it('is read again at SIGHUP, which ends nothing', async () => {
    const { serve, place, certificateFile } = await start();
    const uses = (): number => serve.stderr.split(`using the certificate ${certificateFile}`).length - 1;
    // Nothing has changed: only the signal can be why.
    for (let count = 1; count <= 3; count++) {
      serve.signal('SIGHUP');
      await expect.poll(uses, PATIENCE).toBe(count);
    }
    expect(await nameShown(place)).toBe('CN=old');
  });

  it('drops no running download', async () => {
    const size = 256 * MIB;
    let digest = '';
    const { serve, place, certificateFile, keyFile } = await start(async (root) => {
      digest = await addSparseBlob(root, size);
    });
    const download = await openTls(place);
    download.write(`GET /bcache/${digest} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`);
    const pieces = download[Symbol.asyncIterator]() as AsyncIterator<Buffer, undefined>;
    let received = (await pieces.next()).value?.length ?? 0;
    expect(received).toBeGreaterThan(0);

    await replace(keyFile, newPair.privateKey);
    await replace(certificateFile, newPair.certificate);
    serve.signal('SIGHUP');
    await expect.poll(() => nameShown(place), PATIENCE).toBe('CN=new');
    // Far less than the blob has gone out so far: the rest comes from a server that has another certificate by now.
    expect(received).toBeLessThan(MIB);
    for (let next = await pieces.next(); next.value !== undefined; next = await pieces.next())
      received += next.value.length;
    expect(received).toBeGreaterThan(size);
    expect(received).toBeLessThan(size + 1000);
  });

  it('drops no running connection, which may ask for more', async () => {
    const { serve, place, certificateFile, keyFile } = await start();
    const connection = await openTls(place);
    const pieces = connection[Symbol.asyncIterator]() as AsyncIterator<Buffer, undefined>;
    const ask = async (): Promise<string> => {
      connection.write('GET /health HTTP/1.1\r\nHost: x\r\n\r\n');
      return (await pieces.next()).value?.toString('latin1') ?? '';
    };
    expect(await ask()).toMatch(/^HTTP\/1\.1 200 /);
    await replace(keyFile, newPair.privateKey);
    await replace(certificateFile, newPair.certificate);
    serve.signal('SIGHUP');
    await expect.poll(() => nameShown(place), PATIENCE).toBe('CN=new');
    expect(await ask()).toMatch(/^HTTP\/1\.1 200 /);
    connection.destroy();
  });

  it('is on all addresses', async () => {
    const at = await temporaryFolder();
    const files = { certificateFile: join(at, 'tls.crt'), keyFile: join(at, 'tls.key') };
    await copyFile(oldPair.certificateFile, files.certificateFile);
    await copyFile(oldPair.keyFile, files.keyFile);
    const serve = await ServeProcess.start({
      folder: at,
      listen: 'https://127.0.0.1:0 http://127.0.0.1:0 https://127.0.0.1:0',
      config: `[server]\ntls-certificate = ${files.certificateFile}\ntls-key = ${files.keyFile}\n`,
    });
    const places = (await serve.urls()).filter((url) => url.startsWith('https:')).map(placeOf);
    expect(places).toHaveLength(2);
    await replace(files.keyFile, newPair.privateKey);
    await replace(files.certificateFile, newPair.certificate);
    for (const place of places) await expect.poll(() => nameShown(place), PATIENCE).toBe('CN=new');
  });
});

describe('a new certificate that is broken', () => {
  it.each<[string, (served: Served) => Promise<void>, RegExp]>([
    [
      'no PEM',
      ({ certificateFile }) => replace(certificateFile, 'garbage'),
      /tls\.crt: not a PEM certificate/,
    ],
    ['empty', ({ certificateFile }) => replace(certificateFile, ''), /tls\.crt: not a PEM certificate/],
    [
      'cut off',
      ({ certificateFile }) => replace(certificateFile, newPair.certificate.slice(0, 300)),
      /tls\.crt: not a PEM certificate/,
    ],
    [
      'for another key',
      ({ certificateFile }) => replace(certificateFile, newPair.certificate),
      /tls\.key is not the unencrypted private key of/,
    ],
    ['gone', ({ certificateFile }) => rm(certificateFile), /tls\.crt: no such file/],
    ['there, but its key gone', ({ keyFile }) => rm(keyFile), /tls\.key: no such file/],
  ])('is not used when it is %s: the old one stays, and the log says why', async (_what, spoil, message) => {
    const served = await start();
    await spoil(served);
    await expect.poll(() => served.serve.stderr, PATIENCE).toMatch(/the old certificate stays: /);
    expect(served.serve.stderr).toMatch(message);
    expect(await nameShown(served.place)).toBe('CN=old');
    // And it is not the end: a good one is taken.
    await replace(served.keyFile, newPair.privateKey);
    await replace(served.certificateFile, newPair.certificate);
    await expect.poll(() => nameShown(served.place), PATIENCE).toBe('CN=new');
  });

  it('is used once its key has come, too', async () => {
    const { serve, place, certificateFile, keyFile } = await start();
    await replace(certificateFile, newPair.certificate);
    await expect.poll(() => serve.stderr, PATIENCE).toContain('the old certificate stays');
    expect(await nameShown(place)).toBe('CN=old');
    await replace(keyFile, newPair.privateKey);
    await expect.poll(() => nameShown(place), PATIENCE).toBe('CN=new');
  });
});
