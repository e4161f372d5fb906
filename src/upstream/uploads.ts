import type { IncomingMessage } from 'node:http';
import type { Digest } from '../cache/digest.ts';
import type { EntryPair } from '../cache/entry.ts';
import { CacheError, type ErrorCode } from '../cache/errors.ts';
import { dropAnswer, faultOfAnswer } from './answer.ts';
import type { Endpoint } from './endpoint.ts';

/**
 * Uploads a blob: `PUT …/<sha512>`. Unlike with `POST`, the server refuses wrong bytes.
 * @param size in bytes, if known
 * @throws CacheError `unavailable`; `forbidden`, `unauthorized`: the user may not upload; `too-large`, `digest-mismatch`:
 * this blob is refused; `no-space`
 */
export async function putBlob(
  endpoint: Endpoint,
  digest: Digest,
  { size, pieces }: { readonly size: number | undefined; readonly pieces: AsyncIterable<Uint8Array> },
): Promise<void> {
  const path = `/${digest}`;
  const headers = {
    'Content-Type': 'application/octet-stream',
    ...(size === undefined ? {} : { 'Content-Length': String(size) }),
  };
  const response = await endpoint.send('PUT', path, { headers, body: pieces });
  await expectDone(response, endpoint, path, { 400: 'digest-mismatch', 413: 'too-large' });
}

/**
 * Adds an entry as the newest of a key: `PUT …/<key>`.
 * @param path `/` and the key
 * @throws CacheError `unavailable`; `unauthorized`: the user may not upload; `untrusted`, `key-mismatch`, `blob-missing`,
 * `too-large`: this entry is refused; `no-space`
 */
export async function putEntry(endpoint: Endpoint, path: string, pair: EntryPair): Promise<void> {
  const body = Buffer.from(JSON.stringify(pair));
  const headers = { 'Content-Type': 'application/json', 'Content-Length': String(body.byteLength) };
  const response = await endpoint.send('PUT', path, { headers, body });
  // 403 is also the status for a user who may not upload; the text of the answer has the reason.
  await expectDone(response, endpoint, path, {
    ...{ 400: 'key-mismatch', 403: 'untrusted', 409: 'blob-missing', 413: 'too-large' },
  });
}

/** @param refusals the error code of each status that concerns this object only */
async function expectDone(
  response: IncomingMessage,
  endpoint: Endpoint,
  path: string,
  refusals: Readonly<Record<number, ErrorCode>>,
): Promise<void> {
  const { statusCode = 0 } = response;
  if (statusCode >= 200 && statusCode < 300) {
    dropAnswer(response);
    return;
  }
  const fault = await faultOfAnswer(response, endpoint, endpoint.url + path);
  // Waiting doesn't help a full disk.
  const code = statusCode === 507 ? 'no-space' : refusals[statusCode];
  throw code === undefined ? fault : new CacheError(code, fault.message, { cause: fault });
}
