import type { Socket } from 'node:net';
import { systemCode } from '../cache/errors.ts';

/** What node's parser refuses, and the answer; everything else of its kind is 400. */
const STATUS_LINES: Readonly<Record<string, string>> = {
  HPE_HEADER_OVERFLOW: '431 Request Header Fields Too Large',
  HPE_CHUNK_EXTENSIONS_OVERFLOW: '413 Payload Too Large',
  ERR_HTTP_REQUEST_TIMEOUT: '408 Request Timeout',
};

/**
 * Answers what could not be read as a request, as node does itself, but so that no cache in between keeps the answer.
 * @param isAnswering whether an answer has begun on the connection: another one would be read as part of it
 */
export function answerUnparsed(error: Error, socket: Socket, isAnswering: boolean): void {
  const code = systemCode(error) ?? '';
  // What follows the last request of a connection is nobody's; the connection ends with the answer.
  if (code === 'HPE_CLOSED_CONNECTION') return;
  const isHttp = code.startsWith('HPE_') || code === 'ERR_HTTP_REQUEST_TIMEOUT';
  if (isHttp && socket.writable && !isAnswering) {
    const status = STATUS_LINES[code] ?? '400 Bad Request';
    socket.write(`HTTP/1.1 ${status}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n`);
  }
  // A connection that broke, or never spoke TLS, has nobody who would read an answer.
  if (isHttp) socket.destroySoon();
  else socket.destroy();
}
