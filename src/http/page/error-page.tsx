import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { Document, htmlAnswer } from './document.tsx';
import { rootFrom } from './links.ts';
import { Outside } from './outside.tsx';

const TITLES: Readonly<Partial<Record<ContentfulStatusCode, string>>> = {
  400: 'Bad request',
  401: 'User name and password required',
  403: 'Not allowed',
  404: 'Not found',
  405: 'Not possible',
  429: 'Too many attempts',
  503: 'Not available now',
  507: 'The store is full',
};

/** An error for a browser, instead of plain text. */
export function answerErrorPage(
  status: ContentfulStatusCode,
  { text, target, headers }: { text: string; target: string; headers: Readonly<Record<string, string>> },
): Promise<Response> {
  const title = TITLES[status] ?? (status < 500 ? 'Bad request' : 'The cache failed');
  const root = rootFrom(target);
  return htmlAnswer(
    <Document title={title} root={root}>
      <p class="muted small">Status {status}</p>
      <h1>{title}</h1>
      {/* The message is for clients of SlapOS: it says what to write into slapos.cfg. */}
      {status === 401 ? (
        <p class="lead">Reload this page, and enter a user name and a password of this cache.</p>
      ) : (
        <p class="lead">
          <Outside text={text} />
        </p>
      )}
      <p>
        <a href={root}>Releases in this cache</a>
      </p>
    </Document>,
    status,
    headers,
  );
}
