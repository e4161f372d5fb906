import { ServerResponse, type OutgoingHttpHeader, type OutgoingHttpHeaders } from 'node:http';

/** Statuses whose answers have their own `Cache-Control`. */
const KEPT: readonly number[] = [200, 206, 304];

/**
 * Every answer of the server. A proxy caches a 404 without `Cache-Control` (RFC 9110, 15.5.5), which would hide later imports:
 * so only successful answers may be cached.
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
