import type { Catalog } from '../cache/catalog.ts';
import { sourceOfStore } from '../cache/source.ts';
import type { Store } from '../cache/store.ts';
import type { PageParts } from '../http/page/page-parts.ts';
import { predictInstall } from '../operations/predict-install.ts';
import type { Site } from '../operations/site.ts';

/**
 * What the pages show of a site.
 * @param store the site's, as it is served
 */
export async function createPageParts(
  site: Site,
  {
    store,
    catalog,
    urlForNodes,
    roomLeft,
  }: { store: Store; catalog: Catalog } & Pick<PageParts, 'urlForNodes' | 'roomLeft'>,
): Promise<PageParts> {
  const { server, software, pin } = site.config;
  const trusted = await site.trusted();
  const source = sourceOfStore(store);
  const tables = [software, pin];
  return {
    ...{ trusted, urlForNodes, roomLeft, isLogPublic: server.publicLog },
    check: (text, machine) => predictInstall(text, { machine, source, trusted, catalog, tables }),
  };
}
