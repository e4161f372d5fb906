import type { Context } from 'hono';
import { refuse } from './error-response.ts';
import type { HttpEnv } from './http-env.ts';

/** Answers a request. */
export type Handler = (c: Context<HttpEnv>) => Response | Promise<Response>;

/**
 * One handler of several methods; HEAD goes to GET's. Others get 405 and are told which there are (RFC 9110, 15.5.6).
 *
 * Routes for each method and one for the rest would make Hono compose them, with a promise for every request.
 */
export function byMethod(handlers: Readonly<Partial<Record<'GET' | 'POST' | 'PUT', Handler>>>): Handler {
  const table = new Map(Object.entries(handlers));
  const allowed = [...table.keys()]
    .flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method]))
    .join(', ');
  return (c) => {
    const { method = '' } = c.env.incoming;
    const handler = table.get(method === 'HEAD' ? 'GET' : method);
    return handler?.(c) ?? refuse(c, 405, `only ${allowed} can be done here\n`, { Allow: allowed });
  };
}
