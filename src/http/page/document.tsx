import type { Child } from 'hono/jsx';
import { raw } from 'hono/html';
import type { JSX } from 'hono/jsx/jsx-runtime';
import type { ContentfulStatusCode } from 'hono/utils/http-status';
import { ICON_PATH, SCRIPT_PATH, STYLE_PATH } from './assets.ts';
import { visible } from './outside.tsx';

/** A tab of the page. */
export interface Tab {
  readonly path: '' | 'sources' | 'check' | 'log';
  readonly name: string;
}

export interface DocumentProps {
  /** May be from outside. */
  readonly title: string;
  /** The way to the root: see `rootFrom`. */
  readonly root: string;
  readonly tabs?: readonly Tab[];
  /** The tab that is shown. */
  readonly current?: Tab['path'];
  /** Version of this program. */
  readonly version?: string;
  readonly children?: Child;
}

/** A whole page. */
export function Document({ title, root, tabs = [], current, version, children }: DocumentProps) {
  return (
    <>
      {raw('<!doctype html>')}
      <html lang="en">
        <head>
          <meta charset="utf-8" />
          <meta name="viewport" content="width=device-width, initial-scale=1" />
          <meta name="color-scheme" content="light dark" />
          <title>{`${visible(title)} · shacache`}</title>
          <link rel="icon" type="image/svg+xml" href={root + ICON_PATH} />
          <link rel="stylesheet" href={root + STYLE_PATH} />
          <script src={root + SCRIPT_PATH} defer></script>
        </head>
        <body>
          <a class="skip" href="#main">
            Skip to the content
          </a>
          <header class="top">
            <div class="wide">
              <a class="brand" href={root}>
                <img src={root + ICON_PATH} alt="" width="28" height="28" />
                shacache
              </a>
              {tabs.length > 0 && (
                <nav class="tabs" aria-label="Pages">
                  {tabs.map(({ path, name }) => (
                    <a href={root + path} aria-current={path === current ? 'page' : undefined}>
                      {name}
                    </a>
                  ))}
                </nav>
              )}
            </div>
          </header>
          <main id="main" class="wide">
            {children}
          </main>
          <p id="announcement" class="sr" role="status"></p>
          <footer>
            <div class="wide">
              <a href={`${root}slapos.cfg`}>slapos.cfg for nodes</a>
              <a href={`${root}v1/_catalog`}>catalog (JSON)</a>
              <a href={`${root}ready`}>health</a>
              {version !== undefined && <span class="end">shacache {version}</span>}
            </div>
          </footer>
        </body>
      </html>
    </>
  );
}

/** Pages change with the store, and depend on the user; `Answer` lets nobody keep errors. */
const CACHE_CONTROL = { 'Cache-Control': 'private, no-cache' };

/**
 * Nothing of the page comes from another host, and texts of others can't run: no script or style in the page counts.
 */
const HEADERS = {
  'Content-Type': 'text/html; charset=UTF-8',
  'Content-Security-Policy':
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  Vary: 'Accept',
};

/** @param content a whole page, or a part of one */
export async function htmlAnswer(
  content: JSX.Element,
  status: ContentfulStatusCode = 200,
  more: Readonly<Record<string, string>> = {},
): Promise<Response> {
  return new Response((await content).toString(), {
    status,
    headers: { ...HEADERS, ...(status === 200 ? CACHE_CONTROL : {}), ...more },
  });
}
