import type { HttpBindings } from '@hono/node-server';
import type { RequestRecord } from './access-log.ts';

/** The environment of all routes: node's own request and response, and the record of the request. */
export interface HttpEnv {
  Bindings: HttpBindings & { readonly record: RequestRecord };
}

/** The service as a listener calls it. */
export interface App {
  fetch(request: Request, bindings: HttpBindings): Response | Promise<Response>;
}
