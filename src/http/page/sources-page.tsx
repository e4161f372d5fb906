import type { CatalogPage, CatalogSource, CatalogState } from '../../cache/catalog.ts';
import { Cut, IndexNote, PageLinks, QueryFault, Size, State, Time } from './common.tsx';
import { Document } from './document.tsx';
import { releaseLink, withQuery } from './links.ts';
import { Outside } from './outside.tsx';
import { countOf } from './release-list.tsx';
import type { View } from './view.ts';

export interface SourcesPageProps {
  readonly view: View;
  readonly state: CatalogState;
  readonly q: string;
  readonly cursor: string | undefined;
  readonly page: CatalogPage<CatalogSource>;
  /** Why the list is not what was asked for. */
  readonly fault: string | undefined;
}

/** `/sources`: tarballs, eggs, images and other files that clients look up by a key of their own. */
export function SourcesPage({ view, state, q, cursor, page, fault }: SourcesPageProps) {
  const { root } = view;
  return (
    <Document title="Sources" current="sources" {...view}>
      <h1>Sources</h1>
      <p class="lead">
        Files that builds download, such as tarballs and eggs. Clients look them up by a key, and choose among
        its entries.
      </p>
      <IndexNote state={state} />
      <form class="search spaced" role="search" action={`${root}sources`} method="get" data-live>
        <div class="field">
          <label for="q">Key, URL, file name or sha512</label>
          <input id="q" type="search" name="q" value={q} autocomplete="off" spellcheck={false} />
        </div>
        <button type="submit">Search</button>
      </form>
      <p class="count">
        <span id="count" role="status">
          {countOf(page, 'source')}
        </span>
      </p>
      {fault !== undefined && <QueryFault fault={fault} />}
      <div id="results">
        <SourceList root={root} q={q} cursor={cursor} page={page} />
      </div>
    </Document>
  );
}

/** The results of a search; the script replaces them while a person types. */
export function SourceList({
  root,
  q,
  cursor,
  page,
}: Pick<SourcesPageProps, 'q' | 'cursor' | 'page'> & { readonly root: string }) {
  const path = `${root}sources`;
  return (
    <div data-count={countOf(page, 'source')}>
      {page.items.length === 0 ? (
        <div class="card empty">
          {q.trim() === '' ? (
            <>
              <h3>This cache has no source</h3>
              <p class="muted">
                Clients with upload rights add them; cache fetch copies them from another cache.
              </p>
            </>
          ) : (
            <>
              <h3>Nothing matches</h3>
              <p>
                <a href={path}>Show all sources</a>
              </p>
            </>
          )}
        </div>
      ) : (
        <div class="frame">
          <table class="cards">
            <caption class="sr">Sources</caption>
            <thead>
              <tr>
                <th scope="col" class="what">
                  Key
                </th>
                <th scope="col" class="num">
                  Size
                </th>
                <th scope="col">Received (UTC)</th>
                <th scope="col">State</th>
              </tr>
            </thead>
            {page.items.map((source) => (
              <SourceRows source={source} root={root} />
            ))}
          </table>
        </div>
      )}
      <PageLinks
        label="Pages of the list"
        first={{ text: 'First page', href: cursor === undefined ? undefined : withQuery(path, { q }) }}
        next={{
          text: 'Next page',
          href: page.cursor === undefined ? undefined : withQuery(path, { q, cursor: page.cursor }),
        }}
      />
    </div>
  );
}

/** Entries of a source to show in the list; its own page has more. */
const ENTRIES_SHOWN = 3;

function SourceRows({ source: { key, entries }, root }: { source: CatalogSource; root: string }) {
  const shown = entries.slice(0, ENTRIES_SHOWN);
  const more = entries.length - shown.length;
  const [newest] = entries;
  const text = newest?.url ?? newest?.basename;
  return (
    <tbody>
      {shown.map(({ size, received, signer }, index) => (
        <tr>
          {index === 0 && (
            <th scope="rowgroup" class="what" rowspan={shown.length}>
              <a class="name" href={releaseLink(root, key)}>
                <Outside text={key} />
              </a>
              {text !== undefined && (
                <span class="url">
                  <Cut text={text} />
                </span>
              )}
              {more > 0 && <span class="url">{`and ${more} older`}</span>}
            </th>
          )}
          <td class="num">
            <Size size={size} />
          </td>
          <td class="date">
            <Time date={received} />
          </td>
          <td>
            <State signer={signer} isMissing={size === undefined} />
          </td>
        </tr>
      ))}
    </tbody>
  );
}
