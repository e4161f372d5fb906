import type { HttpBindings } from '@hono/node-server';
import type { RequestRecord } from './access-log.ts';

/** What the routes share: node's own request and response, and the record of the request. */
export interface HttpEnv {
  Bindings: HttpBindings & { readonly record: RequestRecord };
}

/** What a listener needs of the service. */
export interface App {
  fetch(request: Request, bindings: HttpBindings): Response | Promise<Response>;
}
