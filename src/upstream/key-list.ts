import { CacheError } from '../cache/errors.ts';
import { isKey, type Key } from '../cache/key.ts';
import { dropAnswer, faultOfAnswer, formatAnswer, readText } from './answer.ts';
import { persist, type Patience } from './attempts.ts';
import type { Endpoint } from './endpoint.ts';

/** Bytes of more than three million keys of releases. */
const SIZE_LIMIT = 128 * 1024 * 1024;

/**
 * All keys of a directory: `GET …/`, a key a line. Reads the whole list first: processing keys may outlast a connection.
 * @throws CacheError `unavailable`; `not-found`: other caches list no keys
 */
export async function* listKeys(endpoint: Endpoint, patience: Patience): AsyncGenerator<Key> {
  const { text, answer } = await persist(patience, () => fetchList(endpoint));
  for (let start = 0; start < text.length;) {
    const end = text.indexOf('\n', start);
    const line = text.slice(start, end === -1 ? undefined : end);
    // A web server's folder listing may be text, too.
    if (end === -1 || !isKey(line)) throw noList(endpoint, answer);
    yield line;
    start = end + 1;
  }
}

async function fetchList(endpoint: Endpoint): Promise<{ readonly text: string; readonly answer: string }> {
  const url = `${endpoint.url}/`;
  const response = await endpoint.send('GET', '/');
  const { statusCode = 0, headers } = response;
  const answer = formatAnswer(response);
  const isRefused = [400, 404, 405, 501].includes(statusCode);
  if (isRefused || (statusCode === 200 && !/^text\/plain\b/.test(headers['content-type'] ?? ''))) {
    dropAnswer(response);
    throw noList(endpoint, answer);
  }
  if (statusCode !== 200) throw await faultOfAnswer(response, endpoint, url);
  return { text: await readText(response, endpoint, url, SIZE_LIMIT), answer };
}

/** @param answer as `formatAnswer` describes it */
function noList({ url }: Endpoint, answer: string): CacheError {
  return new CacheError(
    'not-found',
    `${url}/: no list of keys, but ${answer}; correct the URL, or use cache fetch with URLs: other caches list no keys`,
  );
}
