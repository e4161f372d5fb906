import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { RawConnection, type Place, type RawResponse } from './raw-connection.ts';

export interface Upload {
  readonly method?: 'POST' | 'PUT';
  readonly target?: string;
  /** With `Transfer-Encoding` or `Content-Length` among them the body is sent as it is, framed already. */
  readonly headers?: Readonly<Record<string, string>>;
}

/** One upload on a connection of its own, as the Python client makes it: all of it is sent before the answer is read. */
export async function upload(
  place: Place,
  body: Uint8Array | string,
  { method = 'POST', target = '/bcache', headers = {} }: Upload = {},
): Promise<RawResponse> {
  const bytes = Buffer.from(body);
  const isFramed = 'Content-Length' in headers || 'Transfer-Encoding' in headers;
  const framing: Readonly<Record<string, string>> = isFramed
    ? {}
    : { 'Content-Length': String(bytes.length) };
  const connection = await RawConnection.open(place);
  try {
    connection.request(target, {
      method,
      headers: { Connection: 'close', ...framing, ...headers },
    });
    connection.send(bytes);
    const response = await connection.response();
    const surplus = await connection.rest();
    if (surplus.length > 0) throw new Error(`${surplus.length} bytes follow the answer`);
    return response;
  } finally {
    connection.destroy();
  }
}

/** One piece of a chunked body (RFC 9112, 7.1); an empty one ends it. */
export function chunk(data: Uint8Array | string): Buffer {
  const bytes = Buffer.from(data);
  return Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')]);
}

/** Every file and folder below `root`, sorted. */
export async function everythingBelow(root: string): Promise<readonly string[]> {
  return (await readdir(root, { recursive: true })).sort();
}

/** Names of what is being written, or was left over. */
export function temporaryFiles(root: string): Promise<readonly string[]> {
  return readdir(join(root, 'tmp'));
}
