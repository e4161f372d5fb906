import type { Context, Hono } from 'hono';
import type { Catalog } from '../cache/catalog.ts';
import { CacheError } from '../cache/errors.ts';
import { requireRole, type AccessControl } from './access-control.ts';
import type { HttpEnv } from './http-env.ts';
import { byMethod, type Handler } from './methods.ts';
import { wantsPage } from './wants-page.ts';
import type { Pages, PagesOptions } from './page/pages.tsx';

export interface PageRoutesOptions extends Omit<PagesOptions, 'showsLog'> {
  readonly access: AccessControl;
  readonly catalog: Catalog;
}

/**
 * The pages for people. Their code is loaded when a browser asks: most caches only serve nodes. `/` is a page for browsers
 * only.
 * @param otherwise answers other clients at `/`
 */
export function addPageRoutes(app: Hono<HttpEnv>, options: PageRoutesOptions, otherwise: Handler): void {
  const { access, isLogPublic } = options;
  const hasUsers = access.withPassword !== undefined || access.withCertificate !== undefined;
  const isLogOpen = isLogPublic && !hasUsers;
  const showsLog = ({ env: { record } }: Context<HttpEnv>): boolean =>
    isLogOpen || (hasUsers && record.isAdmin !== false);

  let loading: Promise<Pages> | undefined;
  const load = (): Promise<Pages> =>
    (loading ??= import('./page/pages.tsx').then(({ createPages }) => createPages({ ...options, showsLog })));
  const page = (name: keyof Pages): Handler =>
    requireRole(access, 'read', async (c) => (await load())[name](c));

  const home = page('home');
  app.all('/', (c) => (wantsPage(c.env.incoming) ? home(c) : otherwise(c)));
  app.all('/sources', byMethod({ GET: page('sources') }));
  app.all('/check', byMethod({ GET: page('check') }));
  app.all('/release/*', byMethod({ GET: page('release') }));
  app.all('/log', byMethod({ GET: isLogOpen ? page('log') : hasUsers ? requireAdmin() : refuseLog }));

  function requireAdmin(): Handler {
    return requireRole(access, 'admin', async (c) => (await load()).log(c));
  }
}

const refuseLog: Handler = () => {
  throw new CacheError(
    'forbidden',
    'only admins see the log, and this cache has no users; in config.ini, public-log = true in [server] shows it to all clients',
  );
};
