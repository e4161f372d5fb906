import { ServerResponse, type OutgoingHttpHeader, type OutgoingHttpHeaders } from 'node:http';

/** Statuses whose answers may be cached. */
const KEPT: readonly number[] = [200, 206, 304];

/** The second is for an nginx in front, which sets the first on success. */
const LIFETIMES: ReadonlySet<string> = new Set(['cache-control', 'x-accel-cache-control']);

/**
 * Every answer of the server. Proxies cache many answers without `Cache-Control` (RFC 9111, 4.2.2), and a cached 404 would hide a
 * later import: so only a successful answer that says how long may be cached.
 */
export class Answer extends ServerResponse {
  override writeHead(
    status: number,
    message?: string,
    headers?: OutgoingHttpHeaders | OutgoingHttpHeader[],
  ): this;
  override writeHead(status: number, headers?: OutgoingHttpHeaders | OutgoingHttpHeader[]): this;
  override writeHead(
    status: number,
    second?: string | OutgoingHttpHeaders | OutgoingHttpHeader[],
    third?: OutgoingHttpHeaders | OutgoingHttpHeader[],
  ): this {
    const headers = typeof second === 'string' ? third : second;
    if (!KEPT.includes(status) || !hasLifetime(headers)) this.setHeader('Cache-Control', 'no-store');
    return typeof second === 'string'
      ? super.writeHead(status, second, third)
      : super.writeHead(status, second);
  }
}

function hasLifetime(headers: OutgoingHttpHeaders | OutgoingHttpHeader[] = {}): boolean {
  return Object.keys(headers).some((name) => LIFETIMES.has(name.toLowerCase()));
}
