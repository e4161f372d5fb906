import type { HttpBindings } from '@hono/node-server';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import type { Context } from 'hono';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { CacheError, type ErrorCode, messageOf } from '../cache/errors.ts';
import type { RequestLog } from './access-log.ts';
import type { HttpEnv } from './http-env.ts';
import { answerAndLinger, hasUnreadBody } from './request-body.ts';
import { wantsPage } from './wants-page.ts';

/** The HTTP status of each error. */
const STATUS: Readonly<Record<ErrorCode, ContentfulStatusCode>> = {
  'invalid-digest': 400,
  'invalid-key': 400,
  'invalid-entry': 400,
  'invalid-archive': 400,
  'unsupported-archive': 400,
  usage: 400,
  'digest-mismatch': 400,
  incomplete: 400,
  'key-mismatch': 400,
  unauthorized: 401,
  untrusted: 403,
  forbidden: 403,
  'not-found': 404,
  'blob-missing': 409,
  'too-large': 413,
  'too-many': 429,
  'invalid-medium': 500,
  config: 500,
  damaged: 500,
  storage: 500,
  unavailable: 503,
  'no-space': 507,
};

const MORE_HEADERS: Readonly<Partial<Record<ContentfulStatusCode, Readonly<Record<string, string>>>>> = {
  401: { 'WWW-Authenticate': 'Basic realm="shacache", charset="UTF-8"' },
  // Seconds; the longest delay after a wrong password (access/throttle.ts).
  429: { 'Retry-After': '16' },
};

function statusOf(error: unknown): ContentfulStatusCode {
  return error instanceof CacheError ? STATUS[error.code] : 500;
}

/** Answers in plain text, or with a page for browsers. Only the log gets the message of a 5xx error: it may contain paths. */
export function respondToError(
  error: unknown,
  c: Context<HttpEnv>,
  log: RequestLog,
): Response | Promise<Response> {
  const status = statusOf(error);
  const { record } = c.env;
  const requestId = record.id;
  if (status >= 500) log.failure(requestId, error);
  record.code = error instanceof CacheError ? error.code : undefined;
  // A miss is no refusal.
  if (status !== 404) record.reason = messageOf(error);
  const { outgoing } = c.env;
  if (outgoing.destroyed || outgoing.headersSent) {
    // The answer has begun: only a broken connection can still show that it is incomplete.
    outgoing.destroy();
    return RESPONSE_ALREADY_SENT;
  }
  const text = `${status >= 500 ? `${publicText(status)} (request ${requestId})` : messageOf(error)}\n`;
  return answer(c, status, text, MORE_HEADERS[status] ?? {});
}

/** Answers a wrong request, and logs the text as the reason. */
export function refuse(
  { env }: { readonly env: HttpEnv['Bindings'] },
  status: ContentfulStatusCode,
  text: string,
  more: Readonly<Record<string, string>> = {},
): Response | Promise<Response> {
  env.record.reason = text;
  return answer({ env }, status, `${text}\n`, more);
}

/** Answers in plain text, also to a client that is still sending; browsers get a page. */
function answer(
  { env }: { readonly env: Pick<HttpBindings, 'incoming' | 'outgoing'> },
  status: ContentfulStatusCode,
  text: string,
  more: Readonly<Record<string, string>>,
): Response | Promise<Response> {
  const { incoming, outgoing } = env;
  const headers = { 'Content-Type': 'text/plain; charset=UTF-8', ...more };
  if (!hasUnreadBody(incoming)) {
    if (!wantsPage(incoming)) return new Response(text, { status, headers });
    const { url: target = '/' } = incoming;
    return import('./page/error-page.tsx').then(({ answerErrorPage }) =>
      answerErrorPage(status, { text: text.trimEnd(), target, headers: more }),
    );
  }
  answerAndLinger(incoming, outgoing, status, headers, text);
  return RESPONSE_ALREADY_SENT;
}

function publicText(status: ContentfulStatusCode): string {
  if (status === 503) return 'a required service is unavailable; try again later';
  if (status === 507) return 'the store is full';
  return 'the cache failed; its log has the reason';
}
