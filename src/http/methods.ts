import type { Context } from 'hono';
import { refuse } from './error-response.ts';
import type { HttpEnv } from './http-env.ts';

/** Handles a request. */
export type Handler = (c: Context<HttpEnv>) => Response | Promise<Response>;

/**
 * Joins the handlers of several methods; GET's also gets HEAD. Other methods get 405 with the allowed ones (RFC 9110, 15.5.6).
 * Hono would compose separate routes with a promise for every request.
 */
export function byMethod(handlers: Readonly<Partial<Record<'GET' | 'POST' | 'PUT', Handler>>>): Handler {
  const table = new Map(Object.entries(handlers));
  const allowed = [...table.keys()]
    .flatMap((method) => (method === 'GET' ? ['GET', 'HEAD'] : [method]))
    .join(', ');
  return (c) => {
    const { method = '' } = c.env.incoming;
    const handler = table.get(method === 'HEAD' ? 'GET' : method);
    return handler?.(c) ?? refuse(c, 405, `method not allowed; use ${allowed}`, { Allow: allowed });
  };
}
