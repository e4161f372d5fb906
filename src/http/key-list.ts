import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import type { ServerResponse } from 'node:http';
import type { Directory } from '../cache/directory.ts';
import type { Handler } from './methods.ts';

/** Bytes to send at a time. */
const PIECE_SIZE = 64 * 1024;

const HEADERS = { 'Content-Type': 'text/plain', 'Cache-Control': 'no-cache' };

/**
 * `GET /bdir/`: all keys, one a line, in no order. `cache sync` uses it; nodes don't. Holds only a few keys at a time.
 */
export function createKeyList(directory: Directory): Handler {
  return async ({ env: { incoming, outgoing } }) => {
    if (incoming.method === 'HEAD') {
      // HEAD must also report a disk fault.
      const keys = directory.keys()[Symbol.asyncIterator]();
      await keys.next();
      await keys.return?.();
      return new Response(null, { headers: HEADERS });
    }
    const gone = new Promise<void>((resolve) => {
      outgoing.once('close', resolve);
    });
    let text = '';
    // The head is sent with the first piece, so that a disk fault before still gets a 5xx answer.
    const send = async (): Promise<void> => {
      if (!outgoing.headersSent) outgoing.writeHead(200, HEADERS);
      await Promise.race([gone, write(outgoing, text)]);
      text = '';
    };
    for await (const key of directory.keys()) {
      text += `${key}\n`;
      if (text.length < PIECE_SIZE) continue;
      await send();
      if (outgoing.destroyed) return RESPONSE_ALREADY_SENT;
    }
    await send();
    outgoing.end();
    return RESPONSE_ALREADY_SENT;
  };
}

function write(outgoing: ServerResponse, text: string): Promise<void> {
  return new Promise((resolve) => {
    outgoing.write(text, () => {
      resolve();
    });
  });
}
