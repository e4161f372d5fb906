import type { Child } from 'hono/jsx';
import { formatCount } from '../../cache/amount.ts';
import type { CatalogPage, CatalogQuery, CatalogRelease } from '../../cache/catalog.ts';
import { formatPlatform } from '../../cache/platform.ts';
import { Cut, PageLinks, PlatformName, Size, State, Time } from './common.tsx';
import { releaseLink, withQuery, type Query } from './links.ts';
import { Outside, visible } from './outside.tsx';

/** What a list of the page was asked for, as in its URL. */
export interface ListQuery {
  readonly q: string;
  readonly os: string;
  readonly multiarch: string;
  readonly sort: Sort;
  readonly isDescending: boolean;
  readonly cursor: string | undefined;
}

type Sort = NonNullable<CatalogQuery['sort']>;

/** Longer texts match nothing. */
const TEXT_LIMIT = 4096;

export function parseListQuery(query: URLSearchParams): ListQuery {
  const textOf = (name: string): string => (query.get(name) ?? '').slice(0, TEXT_LIMIT);
  const sort = (['size', 'received'] as const).find((known) => known === query.get('sort')) ?? 'name';
  return {
    ...{ q: textOf('q'), os: textOf('os'), multiarch: textOf('multiarch'), sort },
    isDescending: query.get('order') === 'desc',
    cursor: query.get('cursor') ?? undefined,
  };
}

/** The query for the catalog. */
export function catalogQueryOf({ q, os, multiarch, sort, isDescending }: ListQuery): CatalogQuery {
  return {
    ...(q.trim() === '' ? {} : { text: q }),
    ...(os === '' ? {} : { os }),
    ...(multiarch === '' ? {} : { multiarch }),
    ...{ sort, isDescending },
  };
}

/** The same as a URL's query; defaults are left out. */
function toQuery({ q, os, multiarch, sort, isDescending, cursor }: ListQuery): Query {
  return {
    ...{ q, os, multiarch, cursor },
    sort: sort === 'name' ? '' : sort,
    order: isDescending ? 'desc' : '',
  };
}

export interface ReleaseListProps {
  readonly root: string;
  readonly query: ListQuery;
  readonly page: CatalogPage<CatalogRelease>;
  /** Shown if nothing was asked for and nothing is there. */
  readonly whenEmpty: Child;
}

/** The number of results, in words. */
export function countOf({ total }: Pick<CatalogPage<unknown>, 'total'>, noun: string): string {
  return total === 0 ? `no ${noun}s` : formatCount(total, noun);
}

/** The results of a search; the script replaces them while a person types. */
export function ReleaseList({ root, query, page, whenEmpty }: ReleaseListProps) {
  const link = (changes: Partial<ListQuery>): string =>
    withQuery(root, toQuery({ ...query, cursor: undefined, ...changes }));
  const { q, os, multiarch, cursor } = query;
  const isAll = q.trim() === '' && os === '' && multiarch === '';
  return (
    <div data-count={countOf(page, 'release')}>
      {page.items.length === 0 ? (
        <div class="card empty">
          {isAll ? (
            whenEmpty
          ) : (
            <>
              <h3>Nothing matches</h3>
              <p class="muted">
                All words must be in the name, version, URL, key or sha512 of a release.{' '}
                {q.includes('://') && (
                  <a href={withQuery(`${root}check`, { url: q.trim() })}>Check this URL</a>
                )}
              </p>
              <p>
                <a href={root}>Show all releases</a>
              </p>
            </>
          )}
        </div>
      ) : (
        <div class="frame">
          <table class="cards">
            <caption class="sr">Releases</caption>
            <thead>
              <tr>
                <SortHead name="name" text="Release" query={query} link={link} />
                <th scope="col">Platform</th>
                <SortHead name="size" text="Size" query={query} link={link} />
                <SortHead name="received" text="Received (UTC)" query={query} link={link} />
                <th scope="col">State</th>
              </tr>
            </thead>
            {page.items.map((release) => (
              <ReleaseRows release={release} root={root} link={link} />
            ))}
          </table>
        </div>
      )}
      <PageLinks
        label="Pages of the list"
        first={{ text: 'First page', href: cursor === undefined ? undefined : link({}) }}
        next={{
          text: 'Next page',
          href: page.cursor === undefined ? undefined : link({ cursor: page.cursor }),
        }}
      />
    </div>
  );
}

interface SortHeadProps {
  readonly name: Sort;
  readonly text: string;
  readonly query: ListQuery;
  readonly link: (changes: Partial<ListQuery>) => string;
}

/** A head that sorts by its column; the other way if it does already. */
function SortHead({ name, text, query, link }: SortHeadProps) {
  const isSorted = query.sort === name;
  const isDescending = isSorted ? !query.isDescending : name !== 'name';
  return (
    <th
      scope="col"
      class={name === 'name' ? 'what' : name === 'size' ? 'num' : undefined}
      aria-sort={isSorted ? (query.isDescending ? 'descending' : 'ascending') : undefined}
    >
      <a href={link({ sort: name, isDescending })}>{text}</a>
    </th>
  );
}

interface ReleaseRowsProps {
  readonly release: CatalogRelease;
  readonly root: string;
  readonly link: (changes: Partial<ListQuery>) => string;
}

/** A row for each build. */
function ReleaseRows({ release: { key, name, version, url, builds }, root, link }: ReleaseRowsProps) {
  const [first, ...others] = builds;
  return (
    <tbody>
      <tr>
        <th scope="rowgroup" class="what" rowspan={Math.max(1, builds.length)}>
          <span class="cut">
            <a class="name" href={releaseLink(root, key)}>
              <Outside text={name} />
            </a>{' '}
            {version !== undefined && (
              <span class="version">
                <Outside text={version} />
              </span>
            )}
          </span>
          <span class="url">
            <Cut text={url} />
          </span>
        </th>
        <BuildCells build={first} link={link} />
      </tr>
      {others.map((build) => (
        <tr>
          <BuildCells build={build} link={link} />
        </tr>
      ))}
    </tbody>
  );
}

interface BuildCellsProps {
  readonly build: CatalogRelease['builds'][number] | undefined;
  readonly link: ReleaseRowsProps['link'];
}

function BuildCells({ build, link }: BuildCellsProps) {
  if (build === undefined)
    return (
      <td colspan={4} class="muted">
        no platform
      </td>
    );
  const { platform, size, received, signer } = build;
  return (
    <>
      <td class="platform">
        {platform === undefined ? (
          <span class="muted">unknown</span>
        ) : (
          <a
            href={link({ os: platform.os.join(','), multiarch: platform.multiarch })}
            title={`Only releases for ${visible(formatPlatform(platform))}`}
          >
            <PlatformName platform={platform} />
          </a>
        )}
      </td>
      <td class="num">
        <Size size={size} />
      </td>
      <td class="date">
        <Time date={received} />
      </td>
      <td>
        <State signer={signer} isMissing={size === undefined} />
      </td>
    </>
  );
}
