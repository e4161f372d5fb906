import { CacheError } from '../cache/errors.ts';
import { isKey, type Key } from '../cache/key.ts';
import { dropAnswer, faultOfAnswer, readText } from './answer.ts';
import { persist, type Patience } from './attempts.ts';
import type { Endpoint } from './endpoint.ts';

/** Bytes of more than three million keys of releases. */
const SIZE_LIMIT = 128 * 1024 * 1024;

/**
 * All keys of a directory: `GET …/`, a key a line. Reads the whole list first: processing keys may outlast a connection.
 * @throws CacheError `unavailable`; `not-found`: other caches list no keys
 */
export async function* listKeys(endpoint: Endpoint, patience: Patience): AsyncGenerator<Key> {
  const text = await persist(patience, () => fetchList(endpoint));
  for (let start = 0; start < text.length;) {
    const end = text.indexOf('\n', start);
    const line = text.slice(start, end === -1 ? undefined : end);
    // A web server's folder listing may be text, too.
    if (end === -1 || !isKey(line)) throw noList(endpoint);
    yield line;
    start = end + 1;
  }
}

async function fetchList(endpoint: Endpoint): Promise<string> {
  const url = `${endpoint.url}/`;
  const response = await endpoint.send('GET', '/');
  const { statusCode = 0, headers } = response;
  const isRefused = [400, 404, 405, 501].includes(statusCode);
  if (isRefused || (statusCode === 200 && !/^text\/plain\b/.test(headers['content-type'] ?? ''))) {
    dropAnswer(response);
    throw noList(endpoint);
  }
  if (statusCode !== 200) throw await faultOfAnswer(response, endpoint, url);
  return readText(response, endpoint, url, SIZE_LIMIT);
}

function noList({ url }: Endpoint): CacheError {
  return new CacheError('not-found', `${url}: this cache lists no keys; use cache fetch with URLs`);
}
