import type { IncomingMessage } from 'node:http';

/** Whether a browser asks for something to show; no client of SlapOS names HTML. */
export function wantsPage({ method, headers: { accept } }: IncomingMessage): boolean {
  return (method === 'GET' || method === 'HEAD') && accept !== undefined && /\btext\/html\b/i.test(accept);
}
