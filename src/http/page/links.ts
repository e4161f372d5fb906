import type { Digest } from '../../cache/digest.ts';
import type { Key } from '../../cache/key.ts';

/** Deeper paths than any page has; a longer way up is only a guess of a client. */
const DEPTH_LIMIT = 8;

/**
 * The way from a requested page to the root, such as `../`: pages also work below a path of a proxy.
 * @param target of the request line, as sent
 */
export function rootFrom(target: string): string {
  const [path = ''] = target.replace(/^[a-z]+:\/\/[^/?#]*/i, '').split(/[?#]/, 1);
  const depth = path.split('/').length - 2;
  if (depth > DEPTH_LIMIT) return '/';
  return depth <= 0 ? './' : '../'.repeat(depth);
}

/** Names and values of a query; undefined and empty ones are left out. */
export type Query = Readonly<Record<string, string | undefined>>;

export function withQuery(path: string, query: Query): string {
  const given = Object.entries(query).filter((pair): pair is [string, string] => (pair[1] ?? '') !== '');
  const text = new URLSearchParams(given).toString();
  return text === '' ? path : `${path}?${text}`;
}

export function releaseLink(root: string, key: Key): string {
  return `${root}release/${encodeURIComponent(key)}`;
}

export function blobLink(root: string, sha512: Digest): string {
  return `${root}bcache/${sha512}`;
}
