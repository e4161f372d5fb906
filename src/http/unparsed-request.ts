import type { Socket } from 'node:net';
import { systemCode } from '../cache/errors.ts';

/** The status lines for faults of node's parser; any other fault is 400. */
const STATUS_LINES: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: '413 Payload Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
};

/**
 * Answers a request that can't be parsed, as node does by default, but forbids proxies to cache the answer.
 * @param isAnswering whether an answer is running on the connection, which must not be mixed with another
 */
export function answerUnparsed(error: Error, socket: Socket, isAnswering: boolean): void {
  const code = systemCode(error) ?? '';
  // Data after the last request of a connection; the connection ends with the answer.
  if (code === 'HPE_CLOSED_CONNECTION') return;
  const isHttp = code.startsWith('HPE_') || code === 'ERR_HTTP_REQUEST_TIMEOUT';
  if (isHttp && socket.writable && !isAnswering) {
    const status = STATUS_LINES[code] ?? '400 Bad Request';
    socket.write(`HTTP/1.1 ${status}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n`);
  }
  // On a broken connection, or one without TLS, no client would read an answer.
  if (isHttp) socket.destroySoon();
  else socket.destroy();
}
