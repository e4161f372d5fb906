import { dropAnswer, formatAnswer } from './answer.ts';
import type { Endpoint } from './endpoint.ts';

/** An endpoint that remembers whether it had anything that was requested. */
export interface WatchedEndpoint extends Endpoint {
  /**
   * Why it may not be a service of a cache, if it answered 404 to all requests; undefined without such a reason. Sends one request.
   * @throws CacheError `unavailable`
   */
  doubt(): Promise<string | undefined>;
}

/**
 * Any web server answers 404 to the path of a key, and `slapos proxy` has the same page as others. But a cache takes uploads at
 * that path: it names PUT in `Allow` (RFC 9110, 9.3.7 and 15.5.6), also to clients that may not upload.
 */
export function watchMisses(endpoint: Endpoint): WatchedEndpoint {
  let hasFound = false;
  let miss: { readonly path: string; readonly answer: string } | undefined;
  return {
    ...endpoint,
    async send(method, path, request) {
      const response = await endpoint.send(method, path, request);
      const { statusCode = 0 } = response;
      // Not all caches have a list of keys at `/`, but any web server may have a page there.
      if (path === '/') return response;
      if (statusCode === 404) miss ??= { path, answer: formatAnswer(response) };
      else if (statusCode >= 200 && statusCode < 300) hasFound = true;
      return response;
    },
    async doubt() {
      if (hasFound || miss === undefined) return undefined;
      const response = await endpoint.send('OPTIONS', miss.path);
      dropAnswer(response);
      const methods = (response.headers.allow ?? '').toUpperCase().split(/[\s,]+/);
      if (methods.includes('PUT')) return undefined;
      return `${endpoint.url} may not be a cache: all answers were ${miss.answer}`;
    },
  };
}
