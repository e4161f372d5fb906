import { Validator } from '@seriousme/openapi-schema-validator';
import { expect, describe, beforeAll, it, onTestFinished } from 'vitest';
import { digestOf } from '../../src/cache/digest.ts';
import { keyOfSoftwareUrl, parseKey } from '../../src/cache/key.ts';
import type { Signer } from '../../src/cache/signature.ts';
import { catalogAnswer, catalogQuery, releaseAnswer } from '../../src/http/catalog-schema.ts';
import { openApiDocument } from '../../src/http/openapi.ts';
import { createStoreIndex } from '../../src/operations/catalog/store-index.ts';
import { startHttpServer, type HttpServer } from '../fixtures/http-server.ts';
import { addBlob, addRelease, BOOKWORM, trusting } from '../operations/test-store.ts';
import { ask, headerOf } from './raw-connection.ts';
import { createTestSigner } from './test-signer.ts';
import { upload } from './upload-client.ts';
import type { AppParts } from '../../src/http/app.ts';

const PYPI = parseKey('pypi:slapos.core=1.24');
const urlOf = (name: string): string => `https://host/slapos/raw/1.0.344/software/${name}/software.cfg`;

let signer: Signer;

beforeAll(async () => {
  signer = await createTestSigner();
});

interface Options {
  readonly parts?: (usual: AppParts) => Partial<AppParts>;
  readonly limit?: number;
  readonly isStarted?: boolean;
}

/** A server with two releases, of which one is for two platforms, and a source. */
async function start({ parts = () => ({}), limit, isStarted = true }: Options = {}): Promise<HttpServer> {
  const trusted = trusting(signer);
  const server = await startHttpServer({
    parts(usual) {
      const index = createStoreIndex(usual.store, {
        ...{ trusted, onFault: () => undefined },
        ...(limit === undefined ? {} : { limit }),
      });
      onTestFinished(() => index.stop());
      if (isStarted) index.start();
      const { store, catalog } = index;
      return { ...usual, store, catalog, trusted, ...parts(usual) };
    },
  });
  onTestFinished(async () => {
    await server.stop();
  });
  await addRelease(server, signer, { url: urlOf('kvm'), content: 'kvm' });
  await addRelease(server, signer, { url: urlOf('kvm'), content: 'kvm on debian', os: BOOKWORM });
  await addRelease(server, signer, { url: urlOf('rapid-cdn'), content: 'cdn' });
  await addBlob(server.blobs, 'egg');
  await server.directory.add(
    PYPI,
    signer.sign(JSON.stringify({ sha512: digestOf('egg'), basename: 'a.tar.gz' })),
  );
  return server;
}

async function catalogOf(server: HttpServer, query = '') {
  const { status, body } = await ask(server, `/v1/_catalog${query}`);
  expect(status, body.toString()).toBe(200);
  return catalogAnswer.parse(JSON.parse(body.toString()));
}

const complete = async (server: HttpServer): Promise<HttpServer> => {
  await expect
    .poll(() => catalogOf(server))
    .toMatchObject({ complete: true, counts: { entries: 4, blobs: 4 } });
  return server;
};

const textOf = async (server: HttpServer, path: string) => {
  const { status, body } = await ask(server, path);
  return [status, body.toString()];
};

describe('GET /v1/_catalog', () => {
  it('has all releases', async () => {
    const server = await complete(await start());
    expect(await catalogOf(server)).toEqual({
      ...{ format: 1, complete: true, total: 2 },
      counts: { releases: 2, sources: 1, entries: 4, blobs: 4, size: 22 },
      releases: [
        {
          ...{ url: urlOf('kvm'), key: keyOfSoftwareUrl(urlOf('kvm')), name: 'kvm', version: '1.0.344' },
          builds: [
            expect.objectContaining({
              platform: { multiarch: 'x86_64-linux-gnu', os: [...BOOKWORM] },
              ...{ sha512: digestOf('kvm on debian'), size: 13 },
              signer: { name: 'test', fingerprint: expect.stringMatching(/^[\dA-F:]+$/) as string },
            }),
            expect.objectContaining({ sha512: digestOf('kvm') }),
          ],
        },
        expect.objectContaining({ name: 'rapid-cdn' }),
      ],
    });
  });

  it('has the sources with kind=sources', async () => {
    const server = await complete(await start());
    const { sources, releases, total } = await catalogOf(server, '?kind=sources');
    expect(sources).toMatchObject([{ key: PYPI, entries: [{ basename: 'a.tar.gz', size: 3 }] }]);
    expect([releases, total]).toEqual([undefined, 1]);
  });

  it.each([
    ['?q=RAPID', ['rapid-cdn']],
    [`?q=${digestOf('cdn')}`, ['rapid-cdn']],
    ['?os=debian%2012', ['kvm']],
    ['?multiarch=aarch64-linux-gnu', []],
    ['?name=kvm', ['kvm']],
    ['?since=2999-01-01', []],
    ['?since=2020-01-01T00:00:00Z', ['kvm', 'rapid-cdn']],
    ['?sort=size&order=desc', ['kvm', 'rapid-cdn']],
    ['?sort=name&order=desc', ['rapid-cdn', 'kvm']],
  ])('%s', async (query, names) => {
    const server = await complete(await start());
    expect((await catalogOf(server, query)).releases?.map(({ name }) => name)).toEqual(names);
  });

  it('goes on by the cursor', async () => {
    const server = await complete(await start());
    const first = await catalogOf(server, '?limit=1');
    expect(first).toMatchObject({ total: 2, releases: [{ name: 'kvm' }] });
    const second = await catalogOf(server, `?limit=1&cursor=${first.cursor ?? ''}`);
    expect(second).toMatchObject({ total: 2, releases: [{ name: 'rapid-cdn' }] });
    expect(second.cursor).toBeUndefined();
  });

  it.each([
    ['?limit=1001', 'limit: not a number from 1 to 1000'],
    ['?limit=x', 'limit: not a number from 1 to 1000'],
    ['?since=yesterday', 'since: not a time; write 2026-11-20 or 2026-11-20T21:34:00Z'],
    ['?cursor=x', 'cursor: not made by this server; take it from the page before'],
    ['?kind=x', 'kind: write releases or sources'],
    ['?q=a+b+c+d+e+f+g+h+i', 'q: more than 8 words; search for fewer'],
    ['?q=a&q=b', 'q: given twice'],
    ['?query=a', 'unknown parameter "query"; known are '],
    ['?os=x', 'not an operating system: "x"'],
    ['?multiarch=amd64', 'not a multiarch: "amd64"; write x86_64-linux-gnu'],
  ])('%s is refused with 400', async (query, text) => {
    const server = await start();
    const [status, body] = await textOf(server, `/v1/_catalog${query}`);
    expect(body).toContain(text);
    expect(status).toBe(400);
  });

  it('has an ETag, which changes with the content: 304', async () => {
    const server = await complete(await start({ parts: () => ({ access: { anonymous: 'upload' } }) }));
    const etag = headerOf(await ask(server, '/v1/_catalog'), 'ETag') ?? '';
    const headers = { 'If-None-Match': etag };
    expect((await ask(server, '/v1/_catalog', { headers })).status).toBe(304);
    await upload(server, 'another blob');
    expect((await ask(server, '/v1/_catalog', { headers })).status).toBe(200);
    expect((await catalogOf(server)).counts.blobs).toBe(5);
  });

  it('says while the index is built that there may be more', async () => {
    const server = await start({ isStarted: false });
    expect(await catalogOf(server)).toMatchObject({ complete: false, total: 0, releases: [] });
    const [status] = await textOf(server, `/v1/releases/${keyOfSoftwareUrl(urlOf('kvm'))}`);
    expect(status).toBe(503);
  });

  it('says why there is no index', async () => {
    const server = await start({ limit: 2 });
    await expect
      .poll(() => textOf(server, '/v1/_catalog'))
      .toEqual([503, 'there is no index: the store has more than 2 entries or blobs\n']);
    expect((await ask(server, `/bcache/${digestOf('egg')}`)).status).toBe(200);
  });

  it('needs the right to read', async () => {
    const server = await start({
      parts: () => ({ access: { anonymous: undefined, withPassword: () => Promise.resolve(undefined) } }),
    });
    for (const path of ['/v1/_catalog', '/v1/openapi.json', `/v1/releases/${'0'.repeat(32)}`])
      expect((await ask(server, path)).status).toBe(401);
  });
});

describe('GET /v1/releases/<key>', () => {
  it('has the release', async () => {
    const server = await complete(await start());
    const { body } = await ask(server, `/v1/releases/${keyOfSoftwareUrl(urlOf('kvm'))}`);
    expect(releaseAnswer.parse(JSON.parse(body.toString())).release).toMatchObject({
      name: 'kvm',
      url: urlOf('kvm'),
    });
  });

  it('is 404 for others, and 400 for what is no key', async () => {
    const server = await complete(await start());
    expect(await textOf(server, `/v1/releases/${PYPI}`)).toEqual([404, `no release with key ${PYPI}\n`]);
    expect((await textOf(server, '/v1/releases/a/b'))[0]).toBe(400);
    expect((await ask(server, '/v1/_catalog', { method: 'DELETE' })).status).toBe(405);
  });
});

describe('/v1/openapi.json', () => {
  it('is valid OpenAPI 3.1, and has the schemas of all answers', async () => {
    const server = await start();
    const document = JSON.parse((await ask(server, '/v1/openapi.json')).body.toString()) as Record<
      string,
      unknown
    >;
    const validator = new Validator();
    expect(await validator.validate(document)).toEqual({ valid: true });
    expect(validator.version).toBe('3.1');
    expect(Object.keys(document['paths'] as object)).toEqual(['/v1/_catalog', '/v1/releases/{key}']);
    expect(JSON.stringify(document)).not.toContain('$defs');
    expect(document).toMatchObject({
      components: { schemas: { Catalog: {}, Release: {}, Source: {}, ReleaseAnswer: {} } },
    });
  });

  it('is kept in docs/, with all parameters in docs/catalog.md', async () => {
    await expect(`${JSON.stringify(openApiDocument('1'), undefined, 2)}\n`).toMatchFileSnapshot(
      '../../docs/openapi.json',
    );
    const { readFile } = await import('node:fs/promises');
    const text = await readFile('docs/catalog.md', 'utf8');
    for (const name of Object.keys(catalogQuery.shape)) expect(text).toContain(`| \`${name}\` |`);
  });
});
