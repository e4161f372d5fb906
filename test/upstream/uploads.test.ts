import { describe, expect, it, onTestFinished } from 'vitest';
import { digestOf } from '../../src/cache/digest.ts';
import { CacheError } from '../../src/cache/errors.ts';
import type { Signer } from '../../src/cache/signature.ts';
import type { Role } from '../../src/http/access-control.ts';
import type { SourceBlob } from '../../src/cache/source.ts';
import { expectCacheError } from '../fixtures/expected-error.ts';
import { startHttpServer, type HttpServer } from '../fixtures/http-server.ts';
import { startScriptedServer } from '../fixtures/scripted-server.ts';
import { incompressible } from '../fixtures/software-release.ts';
import { createTestSigner } from '../http/test-signer.ts';
import { temporaryFiles } from '../http/upload-client.ts';
import { keyOf, signRelease, trusting } from '../operations/test-store.ts';
import { download, HASTY, upstreamOf } from './upstream-of.ts';

const CONTENT = incompressible(2_000_000);
const DIGEST = digestOf(CONTENT);
const KEY = keyOf();

async function start(
  anonymous: Role = 'upload',
  trusted: readonly Signer[] = [],
  maxBlobSize = 2 ** 40,
): Promise<HttpServer> {
  const server = await startHttpServer({
    parts: (usual) => ({
      ...usual,
      access: { anonymous },
      trusted: trusting(...trusted),
      upload: { ...usual.upload, maxBlobSize },
    }),
  });
  onTestFinished(async () => {
    await server.stop();
  });
  return server;
}

/** Opens bytes that are given out in one buffer, again and again. */
function opener(content: Uint8Array = CONTENT, size: number | undefined = content.length) {
  const calls: string[] = [];
  const open = (): Promise<SourceBlob> => {
    calls.push('open');
    async function* pieces(): AsyncGenerator<Uint8Array> {
      const buffer = Buffer.alloc(65_536);
      for (let position = 0; position < content.length; position += buffer.length) {
        const count = Buffer.from(content).copy(buffer, 0, position);
        yield await Promise.resolve(buffer.subarray(0, count));
        // A piece is good only until the next is asked for.
        buffer.fill(0);
      }
    }
    return Promise.resolve({
      size,
      pieces: pieces(),
      close: () => {
        calls.push('close');
        return Promise.resolve();
      },
    });
  };
  return { open, calls };
}

describe('an uploaded blob', () => {
  it.each([
    ['with its size', CONTENT.length],
    ['of unknown size', undefined],
  ])('%s comes whole', async (_what, size) => {
    const server = await start();
    const { open, calls } = opener(CONTENT, size);
    await upstreamOf(server.url).putBlob(DIGEST, open);
    expect(await download(upstreamOf(server.url), DIGEST)).toBe(DIGEST);
    expect(calls).toEqual(['open', 'close']);
  });

  it('of other bytes than it should be leaves nothing', async () => {
    const server = await start();
    const { open } = opener(Buffer.alloc(CONTENT.length));
    await expectCacheError(
      upstreamOf(server.url).putBlob(DIGEST, open),
      'digest-mismatch',
      /answered 400 Bad Request: the bytes have the sha512/,
    );
    expect(await temporaryFiles(server.root)).toEqual([]);
    expect(await download(upstreamOf(server.url), DIGEST)).toBeUndefined();
  });

  it('is refused before a byte of it is asked for', async () => {
    const { open, calls } = opener();
    const reading: string[] = [];
    const watched = async (): Promise<SourceBlob> => {
      const blob = await open();
      async function* pieces(): AsyncGenerator<Uint8Array> {
        reading.push('read');
        yield* blob.pieces;
      }
      return { ...blob, pieces: pieces() };
    };
    await expectCacheError(
      upstreamOf((await start('read')).url).putBlob(DIGEST, watched),
      'forbidden',
      /answered 403 Forbidden: uploads are disabled/,
    );
    await expectCacheError(
      upstreamOf((await start('upload', [], 1000)).url).putBlob(DIGEST, watched),
      'too-large',
      /answered 413/,
    );
    expect(reading).toEqual([]);
    expect(calls).toEqual(['open', 'close', 'open', 'close']);
  });

  it('is sent again when the connection breaks', async () => {
    const server = await start();
    const { open, calls } = opener();
    const breaking = await startScriptedServer((request) => {
      request.once('data', () => request.socket.destroy());
    });
    await expectCacheError(upstreamOf(breaking.url).putBlob(DIGEST, open), 'unavailable', /tried 3 times/);
    expect(calls).toHaveLength(2 * HASTY.attempts);
    await upstreamOf(server.url).putBlob(DIGEST, open);
    expect(await download(upstreamOf(server.url), DIGEST)).toBe(DIGEST);
  });

  it('is sent to a server that never asks for it, too', async () => {
    let received = 0;
    const deaf = await startScriptedServer((request, response) => {
      request.on('data', (piece: Buffer) => (received += piece.length));
      request.on('end', () => response.writeHead(201).end(DIGEST));
    });
    // Node answers "100 Continue" by itself; an HTTP/1.0 proxy, or this, doesn't.
    deaf.ignoreExpectations();
    await upstreamOf(deaf.url).putBlob(DIGEST, opener().open);
    expect(received).toBe(CONTENT.length);
  });

  it('whose source fails is an error of the source, and not tried again', async () => {
    const server = await start();
    let opened = 0;
    const open = (): Promise<SourceBlob> => {
      opened++;
      async function* pieces(): AsyncGenerator<Uint8Array> {
        yield await Promise.resolve(CONTENT.subarray(0, 1000));
        throw new CacheError('storage', 'the disk fails');
      }
      return Promise.resolve({ size: CONTENT.length, pieces: pieces(), close: () => Promise.resolve() });
    };
    await expectCacheError(upstreamOf(server.url).putBlob(DIGEST, open), 'storage', /the disk fails/);
    expect(opened).toBe(1);
  });

  it('for which there is no room is an error that no waiting helps', async () => {
    const full = await startScriptedServer((_request, response) => response.writeHead(507).end());
    await expectCacheError(upstreamOf(full.url).putBlob(DIGEST, opener().open), 'no-space', /answered 507/);
    expect(full.requests).toHaveLength(1);
  });
});

describe('an uploaded entry', () => {
  it('is added, as it was signed', async () => {
    const signer = await createTestSigner();
    const server = await start('upload', [signer]);
    const upstream = upstreamOf(server.url);
    const entry = signRelease(signer, { content: CONTENT });
    await expectCacheError(upstream.putEntry(KEY, entry.pair), 'blob-missing', /answered 409/);
    await upstream.putBlob(DIGEST, opener().open);
    await upstream.putEntry(KEY, entry.pair);
    await upstream.putEntry(KEY, entry.pair);
    expect((await upstream.entries(KEY)).map(({ pair }) => pair)).toEqual([entry.pair]);
    const stranger = signRelease(await createTestSigner('stranger'), { content: CONTENT });
    await expectCacheError(
      upstream.putEntry(KEY, stranger.pair),
      'untrusted',
      /answered 403 Forbidden: no trusted certificate/,
    );
    await expectCacheError(
      upstream.putEntry(keyOf({ url: 'https://example.com/other' }), entry.pair),
      'key-mismatch',
      /answered 400 .*does not belong under key/,
    );
  });

  it('needs somebody who may upload', async () => {
    const signer = await createTestSigner();
    const server = await startHttpServer({
      parts: (usual) => ({
        ...usual,
        access: {
          anonymous: 'read',
          withPassword: (name, password) =>
            Promise.resolve(password === 'x' ? { name, role: 'upload' as const } : undefined),
        },
        trusted: trusting(signer),
      }),
    });
    onTestFinished(async () => {
      await server.stop();
    });
    const { pair } = signRelease(signer, { content: CONTENT });
    for (const upstream of [upstreamOf(server.url), upstreamOf(server.url.replace('//', '//alice:y@'))]) {
      await expectCacheError(upstream.putBlob(DIGEST, opener().open), 'unauthorized', /answered 401/);
      await expectCacheError(upstream.putEntry(KEY, pair), 'unauthorized', /answered 401/);
    }
    const alice = upstreamOf(server.url.replace('//', '//alice:x@'));
    await alice.putBlob(DIGEST, opener().open);
    await alice.putEntry(KEY, pair);
    expect(await alice.entries(KEY)).toHaveLength(1);
  });
});
