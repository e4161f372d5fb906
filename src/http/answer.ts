import { ServerResponse, type OutgoingHttpHeader, type OutgoingHttpHeaders } from 'node:http';

/** What caches in between may keep, as its own `Cache-Control` says. */
const KEPT: readonly number[] = [200, 206, 304];

/**
 * Every answer of the server. Caches in between keep a 404 without `Cache-Control` (RFC 9110, 15.5.5), and hide by it what
 * was imported since: so no answer may be kept, unless it has what was asked for.
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
    if (!KEPT.includes(status)) this.setHeader('Cache-Control', 'no-store');
    return typeof second === 'string'
      ? super.writeHead(status, second, third)
      : super.writeHead(status, second);
  }
}
