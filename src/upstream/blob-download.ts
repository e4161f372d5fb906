import type { IncomingMessage } from 'node:http';
import type { Digest } from '../cache/digest.ts';
import { CacheError } from '../cache/errors.ts';
import type { SourceBlob } from '../cache/source.ts';
import { bytesOf, dropAnswer, faultOfAnswer } from './answer.ts';
import { createAttempts, LEAST_PROGRESS, PassingFault, persist, type Patience } from './attempts.ts';
import type { Endpoint } from './endpoint.ts';

/**
 * Downloads a blob; undefined if the server doesn't have it. Resumes after a lost connection.
 * @throws CacheError `unavailable`
 */
export async function openBlob(
  endpoint: Endpoint,
  digest: Digest,
  patience: Patience,
): Promise<SourceBlob | undefined> {
  const path = `/${digest}`;
  const url = endpoint.url + path;
  const first = await persist(patience, async () => {
    const response = await endpoint.send('GET', path);
    if (response.statusCode === 200 || response.statusCode === 404) return response;
    throw await faultOfAnswer(response, endpoint, url);
  });
  if (first.statusCode === 404) {
    dropAnswer(first);
    return undefined;
  }
  const size = lengthOf(first);
  return {
    size,
    pieces: pieces(),
    close: () => Promise.resolve(void first.destroy()),
  };

  async function* pieces(): AsyncGenerator<Uint8Array> {
    const attempts = createAttempts(patience);
    const validator = strongEtagOf(first);
    let response: IncomingMessage | undefined = first;
    let position = 0;
    // Less than this is no progress: a dripping server must not be retried forever.
    let goal = LEAST_PROGRESS;
    for (;;) {
      try {
        response ??= await resume(position, validator);
        // A server without ranges sends the whole blob again.
        let repeated = response.statusCode === 200 ? position : 0;
        for await (const piece of bytesOf(response, endpoint, url)) {
          const fresh = piece.subarray(Math.min(repeated, piece.byteLength));
          repeated -= piece.byteLength - fresh.byteLength;
          if (fresh.byteLength === 0) continue;
          position += fresh.byteLength;
          if (size !== undefined && position > size) {
            const what = `sent more than the announced ${size} bytes`;
            throw new CacheError('unavailable', `${url}: ${what}`);
          }
          if (position >= goal) attempts.succeed();
          yield fresh;
        }
        if (size === undefined || position >= size) return;
        throw new PassingFault(`${url}: the answer ended early`);
      } catch (error) {
        response?.destroy();
        await attempts.fail(atPosition(error, position, size));
        response = undefined;
        goal = position + LEAST_PROGRESS;
      }
    }
  }

  async function resume(position: number, validator: string | undefined): Promise<IncomingMessage> {
    if (position === 0) return open({});
    return open({
      Range: `bytes=${position}-`,
      ...(validator === undefined ? {} : { 'If-Range': validator }),
    });
  }

  async function open(headers: Readonly<Record<string, string>>): Promise<IncomingMessage> {
    const response = await endpoint.send('GET', path, { headers });
    const { statusCode } = response;
    if (statusCode === 200) return response;
    if (statusCode !== 206) throw await faultOfAnswer(response, endpoint, url);
    const wanted = /^bytes=(\d+)-$/.exec(headers['Range'] ?? '')?.[1];
    const given = /^bytes (\d+)-/i.exec(response.headers['content-range'] ?? '')?.[1];
    if (given === wanted) return response;
    response.destroy();
    throw new CacheError('unavailable', `${url}: answered with another range than requested`);
  }
}

/** The announced bytes of the body, if any. */
export function lengthOf({ headers }: IncomingMessage): number | undefined {
  const length = Number(headers['content-length'] ?? Number.NaN);
  return Number.isSafeInteger(length) ? length : undefined;
}

/** Only a strong ETag guarantees the same bytes (RFC 9110, 13.1.5). */
function strongEtagOf({ headers: { etag } }: IncomingMessage): string | undefined {
  return etag?.startsWith('"') === true ? etag : undefined;
}

function atPosition(error: unknown, position: number, size: number | undefined): unknown {
  if (!(error instanceof PassingFault) || position === 0) return error;
  const { message, retryAfter, cause } = error;
  const where = `${message}, after ${position}${size === undefined ? '' : ` of ${size}`} bytes`;
  return new PassingFault(where, { cause, ...(retryAfter === undefined ? {} : { retryAfter }) });
}
