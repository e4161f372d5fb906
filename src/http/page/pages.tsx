import type { Context } from 'hono';
import type { Catalog, CatalogPage, CatalogQuery } from '../../cache/catalog.ts';
import { CacheError, isDamage } from '../../cache/errors.ts';
import { isKey } from '../../cache/key.ts';
import { LOG } from '../../cache/layout.ts';
import { multiarchOn, parseMultiarch, parseOs, type Platform } from '../../cache/platform.ts';
import type { LogRecord, StoreLog } from '../../cache/store-log.ts';
import type { Store } from '../../cache/store.ts';
import type { Readiness } from '../health.ts';
import type { HttpEnv } from '../http-env.ts';
import { decodePathSegment } from '../request-path.ts';
import { CheckPage, type CheckResult } from './check-page.tsx';
import { htmlAnswer, type Tab } from './document.tsx';
import { HomePage, type HomePageProps } from './home-page.tsx';
import { rootFrom } from './links.ts';
import { LogPage } from './log-page.tsx';
import type { PageParts } from './page-parts.ts';
import { catalogQueryOf, parseListQuery, ReleaseList } from './release-list.tsx';
import { choicesOf, showEntries } from './release-entries.ts';
import { ReleasePage } from './release-page.tsx';
import { SourceList, SourcesPage } from './sources-page.tsx';
import type { View } from './view.ts';

export interface PagesOptions extends PageParts {
  readonly store: Store;
  readonly catalog: Catalog;
  readonly version: string;
  readonly readiness: (() => Readiness) | undefined;
  readonly lastScrub: (() => HomePageProps['lastScrub']) | undefined;
  readonly nodeSection: ((base: string) => Promise<string>) | undefined;
  /** The URL of this cache as the client reached it. @throws CacheError `not-found` */
  readonly baseOf: (c: Context<HttpEnv>) => string;
  /** Whether a client that sent these credentials, or none, may see the log, or could after it sends some. */
  readonly showsLog: (c: Context<HttpEnv>) => boolean;
}

type Page = (c: Context<HttpEnv>) => Promise<Response>;

/** The pages, each as a handler; access control is the caller's. */
export interface Pages {
  readonly home: Page;
  readonly sources: Page;
  readonly release: Page;
  readonly check: Page;
  readonly log: Page;
}

const PAGE_SIZE = 50;
const RECORDS_SHOWN = 100;
/** Releases whose platforms the form of `/check` offers. */
const RELEASES_FOR_PLATFORMS = 200;
const OTHER_VERSIONS = 20;

export function createPages(options: PagesOptions): Pages {
  const { store, catalog, trusted, version, baseOf, urlForNodes, check } = options;

  const viewOf = (c: Context<HttpEnv>): View => {
    const { url: target = '/' } = c.env.incoming;
    return {
      root: rootFrom(target),
      tabs: [...TABS, ...(options.showsLog(c) ? [LOG_TAB] : [])],
      version,
      url: urlForNodes(baseOf(c)),
      query: queryOf(target),
    };
  };

  return {
    async home(c) {
      const view = viewOf(c);
      const asked = parseListQuery(view.query);
      const limit = { limit: PAGE_SIZE };
      const find = (query: CatalogQuery) => catalog.releases({ ...query, ...limit });
      const { page, cursor, fault } = findPage(find, catalogQueryOf(asked), asked.cursor);
      const list = { query: { ...asked, cursor }, page };
      if (isPart(view)) return htmlAnswer(<ReleaseList {...list} root={view.root} whenEmpty={null} />);
      const { state } = catalog;
      return htmlAnswer(
        <HomePage
          {...{ view, state, list, fault }}
          roomLeft={options.roomLeft()}
          lastScrub={options.lastScrub?.()}
          readiness={options.readiness?.()}
          section={await sectionOf(c, options)}
        />,
      );
    },

    sources(c) {
      const view = viewOf(c);
      const { q, cursor: askedCursor } = parseListQuery(view.query);
      const find = (query: CatalogQuery) => catalog.sources({ ...query, limit: PAGE_SIZE });
      const { page, cursor, fault } = findPage(find, q.trim() === '' ? {} : { text: q }, askedCursor);
      if (isPart(view)) return htmlAnswer(<SourceList {...{ q, cursor, page }} root={view.root} />);
      return htmlAnswer(<SourcesPage {...{ view, state: catalog.state, q, cursor, page, fault }} />);
    },

    async release(c) {
      const view = viewOf(c);
      const key = decodePathSegment(c.req.path, '/release/', 'invalid-key');
      // As for lookups: a text that is no key has no entry.
      const entries = isKey(key) ? await store.directory.entries(key) : [];
      if (!isKey(key) || entries.length === 0)
        throw new CacheError('not-found', 'this cache has no entry for that key');
      const shown = await showEntries(entries, store, trusted);
      const softwareUrl = entries.find((entry) => entry.softwareUrl !== undefined)?.softwareUrl;
      const known = catalog.release(key);
      return htmlAnswer(
        <ReleasePage
          {...{ view, key, softwareUrl, known, shown, total: entries.length }}
          choices={softwareUrl === undefined ? [] : choicesOf(shown)}
          others={known === undefined ? [] : otherVersions(catalog, known)}
        />,
      );
    },

    async check(c) {
      const view = viewOf(c);
      const [url, os, multiarch] = ['url', 'os', 'multiarch'].map((name) => view.query.get(name) ?? '');
      const asked = { url: url ?? '', os: os ?? '', multiarch: multiarch ?? '' };
      const { result, status } = await answerCheck(asked, check);
      return htmlAnswer(<CheckPage {...{ view, asked, result }} {...platformsOf(catalog)} />, status);
    },

    async log(c) {
      const view = viewOf(c);
      const before = view.query.get('before') ?? undefined;
      return htmlAnswer(
        <LogPage view={view} isFirst={before === undefined} {...await readLog(store.log, before)} />,
      );
    },
  };
}

const TABS: readonly Tab[] = [
  { path: '', name: 'Releases' },
  { path: 'sources', name: 'Sources' },
  { path: 'check', name: 'Check' },
];
const LOG_TAB: Tab = { path: 'log', name: 'Log' };

function queryOf(target: string): URLSearchParams {
  const start = target.indexOf('?');
  return new URLSearchParams(start === -1 ? '' : target.slice(start + 1));
}

/** The script asks for the results alone. */
function isPart({ query }: View): boolean {
  return query.get('part') === 'results';
}

/** A page of a list. */
interface FoundPage<Item> {
  readonly page: CatalogPage<Item>;
  /** Where it begins; undefined: it is the first one. */
  readonly cursor: string | undefined;
  /** Why it is not what was asked for. */
  readonly fault: string | undefined;
}

/** What a query finds, or the beginning of the whole list if a link or a person made a wrong query. */
function findPage<Item>(
  find: (query: CatalogQuery) => CatalogPage<Item>,
  query: CatalogQuery,
  cursor: string | undefined,
): FoundPage<Item> {
  try {
    return { page: find(cursor === undefined ? query : { ...query, cursor }), cursor, fault: undefined };
  } catch (error) {
    if (!(error instanceof CacheError) || error.code !== 'usage') throw error;
    return { page: find({}), cursor: undefined, fault: error.message };
  }
}

async function sectionOf(
  c: Context<HttpEnv>,
  { nodeSection, baseOf }: PagesOptions,
): Promise<HomePageProps['section']> {
  if (nodeSection === undefined) return undefined;
  try {
    return { text: await nodeSection(baseOf(c)) };
  } catch (error) {
    if (!(error instanceof CacheError) || error.code !== 'not-found') throw error;
    return { fault: error.message };
  }
}

function otherVersions(catalog: Catalog, { name, key }: { name: string; key: string }) {
  const { items } = catalog.releases({ name, isDescending: true, limit: OTHER_VERSIONS + 1 });
  return items.filter((other) => other.key !== key).slice(0, OTHER_VERSIONS);
}

/** Platforms of some releases, to choose from: most sites have few. */
function platformsOf(catalog: Catalog): { systems: readonly string[]; multiarchs: readonly string[] } {
  const { items } = catalog.releases({ sort: 'received', isDescending: true, limit: RELEASES_FOR_PLATFORMS });
  const platforms = items
    .flatMap(({ builds }) => builds)
    .map(({ platform }) => platform)
    .filter((platform) => platform !== undefined);
  return {
    systems: [...new Set(platforms.map(({ os }) => os.join(',')))].sort(),
    multiarchs: [...new Set(platforms.map(({ multiarch }) => multiarch))].sort(),
  };
}

interface Asked {
  readonly url: string;
  readonly os: string;
  readonly multiarch: string;
}

async function answerCheck(
  { url, os, multiarch }: Asked,
  check: PageParts['check'],
): Promise<{ readonly result: CheckResult | undefined; readonly status: 200 | 400 }> {
  // The form alone, perhaps with a URL of another page.
  if (url.trim() === '' || os.trim() === '') return { result: undefined, status: 200 };
  try {
    const machine = parseMachine(os, multiarch);
    return { result: { machine, check: await check(url.trim(), machine) }, status: 200 };
  } catch (error) {
    if (!(error instanceof CacheError) || error.code !== 'usage') throw error;
    return { result: { fault: error.message }, status: 400 };
  }
}

/** @throws CacheError `usage` */
function parseMachine(os: string, multiarch: string): Platform {
  const system = parseOs(os);
  const text = multiarch.trim();
  return {
    os: system,
    multiarch: text === '' ? multiarchOn(system, 'x86_64-linux-gnu') : parseMultiarch(text),
  };
}

interface LogPart {
  readonly records: readonly (LogRecord | string)[];
  readonly before: string | undefined;
  readonly hasOldRecords: boolean;
}

/** @param before name of the oldest record of the page before, as in a link */
async function readLog(log: StoreLog, before: string | undefined): Promise<LogPart> {
  const names = await log.list();
  const isOlder = (name: string): boolean => before === undefined || name < LOG + before;
  const end = names.findLastIndex(isOlder) + 1;
  const shown = names.slice(Math.max(0, end - RECORDS_SHOWN), end).reverse();
  const records: (LogRecord | string)[] = [];
  for (const name of shown) {
    try {
      const record = await log.read(name);
      if (record !== undefined) records.push(record);
    } catch (error) {
      if (!isDamage(error)) throw error;
      records.push(error.message);
    }
  }
  const hasMore = end > shown.length;
  return {
    records,
    before: hasMore ? shown.at(-1)?.slice(LOG.length) : undefined,
    hasOldRecords: !hasMore && (await hasAny(log.oldRecords())),
  };
}

async function hasAny(items: AsyncIterable<unknown>): Promise<boolean> {
  const iterator = items[Symbol.asyncIterator]();
  const { done } = await iterator.next();
  await iterator.return?.();
  return done !== true;
}
