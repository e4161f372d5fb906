import type { HttpBindings } from '@hono/node-server';
import type { RequestRecord } from './access-log.ts';

/** The environment of all routes: node's own request and response, the record of the request, and its path. */
export interface HttpEnv {
  Bindings: HttpBindings & {
    readonly record: RequestRecord;
    /** As a path of this service: see `createPathOf`. */
    readonly path: string;
  };
}

/** The service as a listener calls it. */
export interface App {
  fetch(request: Request, bindings: HttpBindings): Response | Promise<Response>;
}
