import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import type { ServerResponse } from 'node:http';
import type { Directory } from '../cache/directory.ts';
import type { Handler } from './methods.ts';

/** Bytes that are gathered before they are sent. */
const PIECE_SIZE = 64 * 1024;

const HEADERS = { 'Content-Type': 'text/plain', 'Cache-Control': 'no-cache' };

/**
 * `GET /bdir/`: all keys, one a line, in no order. It is there for `cache sync`; nodes never ask for it. However many
 * there are, few are held at once.
 */
export function createKeyList(directory: Directory): Handler {
  return async ({ env: { incoming, outgoing } }) => {
    if (incoming.method === 'HEAD') {
      // A disk that fails is to be seen here, too.
      const keys = directory.keys()[Symbol.asyncIterator]();
      await keys.next();
      await keys.return?.();
      return new Response(null, { headers: HEADERS });
    }
    const gone = new Promise<void>((resolve) => {
      outgoing.once('close', resolve);
    });
    let text = '';
    // The head goes out with the first piece: a disk that fails before can still be answered with a 5xx.
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
