import { formatSize } from '../../cache/amount.ts';
import type { CatalogState } from '../../cache/catalog.ts';
import type { Readiness } from '../health.ts';
import { CopyBlock, IndexNote, QueryFault, Time } from './common.tsx';
import { Document } from './document.tsx';
import { countOf, ReleaseList, type ReleaseListProps } from './release-list.tsx';
import { Outside } from './outside.tsx';
import { withQuery } from './links.ts';
import type { View } from './view.ts';

export interface HomePageProps {
  readonly view: View;
  readonly state: CatalogState;
  /** Bytes; undefined if unknown. */
  readonly roomLeft: number | undefined;
  readonly lastScrub: { readonly finished: string; readonly findings: number } | undefined;
  readonly readiness: Readiness | undefined;
  /** The section for nodes, or why there is none. */
  readonly section: { readonly text: string } | { readonly fault: string } | undefined;
  readonly list: Pick<ReleaseListProps, 'query' | 'page'>;
  /** Why the list is not what was asked for. */
  readonly fault: string | undefined;
}

/** `/`: this cache, and its releases. */
export function HomePage(props: HomePageProps) {
  const { view, state, list, section, fault, readiness } = props;
  const { root, url } = view;
  const { q, os, multiarch, sort, isDescending } = list.query;
  return (
    <Document title="Releases" current="" {...view}>
      <h1>Offline binary cache for SlapOS</h1>
      <p class="lead">
        Nodes install compiled software releases from this cache at <code>{url}</code>, after they verify a
        signature. They need no Internet.
      </p>
      <Facts {...props} />
      <ReadinessNote readiness={readiness} />
      <IndexNote state={state} />

      <h2>Releases</h2>
      <form class="search" role="search" action={root} method="get" data-live>
        <div class="field">
          <label for="q">Name, version, URL, key or sha512</label>
          <input id="q" type="search" name="q" value={q} autocomplete="off" spellcheck={false} />
        </div>
        {os !== '' && <input type="hidden" name="os" value={os} />}
        {multiarch !== '' && <input type="hidden" name="multiarch" value={multiarch} />}
        {sort !== 'name' && <input type="hidden" name="sort" value={sort} />}
        {isDescending && <input type="hidden" name="order" value="desc" />}
        <button type="submit">Search</button>
      </form>
      <p class="count">
        <span id="count" role="status">
          {countOf(list.page, 'release')}
        </span>
        {(os !== '' || multiarch !== '') && (
          <a class="chip" href={withQuery(root, { q })} title="Remove this filter">
            <Outside text={[os, multiarch].filter((part) => part !== '').join(' ')} />
            <span aria-hidden="true">✕</span>
            <span class="sr">remove this filter</span>
          </a>
        )}
      </p>
      {fault !== undefined && <QueryFault fault={fault} />}
      <div id="results">
        <ReleaseList {...list} root={root} whenEmpty={<Empty isComplete={state.isComplete} />} />
      </div>

      <div class="two">
        <section aria-labelledby="nodes">
          <h2 id="nodes">On each node</h2>
          <p class="small muted">
            Replace the section <code>[networkcache]</code> of its <code>slapos.cfg</code>, which may contain
            only one:
          </p>
          {section === undefined || 'fault' in section ? (
            <div class="note warn">
              <p>There is no section for nodes{section === undefined ? '.' : `: ${section.fault}`}</p>
            </div>
          ) : (
            <CopyBlock text={section.text.trimEnd()} what="the section for slapos.cfg" isFile />
          )}
        </section>
        <section aria-labelledby="hand">
          <h2 id="hand">By hand</h2>
          <p class="small muted">Look up a release, as a node does:</p>
          <CopyBlock text={lookupCommand(url)} what="the lookup with curl" />
          <p class="small muted after">Addresses of this cache:</p>
          <dl class="pairs small">
            <dt>blobs</dt>
            <dd>
              <code>{`${url}/bcache/<sha512>`}</code>
            </dd>
            <dt>entries</dt>
            <dd>
              <code>{`${url}/bdir/<key>`}</code>
            </dd>
            <dt>key</dt>
            <dd>md5 of the software URL</dd>
          </dl>
        </section>
      </div>
    </Document>
  );
}

/** Why nodes should not be sent here; nothing if they should. */
function ReadinessNote({ readiness }: Pick<HomePageProps, 'readiness'>) {
  const { reasons = [], warnings = [] } = readiness ?? {};
  if (reasons.length + warnings.length === 0) return null;
  return (
    <div class={reasons.length > 0 ? 'note bad' : 'note warn'} role="status">
      {reasons.map(({ reason }) => (
        <p>
          Nodes cannot rely on this cache now: <Outside text={reason} />
        </p>
      ))}
      {warnings.map(({ reason }) => (
        <p>
          Warning: <Outside text={reason} />
        </p>
      ))}
    </div>
  );
}

function Facts({ state, roomLeft, lastScrub }: HomePageProps) {
  const { releases, sources, blobs, size, isComplete, fault } = state;
  const most = isComplete ? '' : 'at least ';
  const isKnown = fault === undefined;
  return (
    <dl class="facts">
      <Fact name="Releases" value={isKnown ? `${most}${releases}` : '–'} />
      <Fact name="Sources" value={isKnown ? `${most}${sources}` : '–'} />
      <Fact
        name="Blobs"
        value={isKnown ? `${most}${blobs}` : '–'}
        more={isKnown ? formatSize(size) : undefined}
      />
      <Fact
        name="Room left"
        value={roomLeft === undefined ? '–' : roomLeft === Infinity ? 'no limit' : formatSize(roomLeft)}
      />
      <div>
        <dt>Last check</dt>
        <dd>
          {lastScrub === undefined ? (
            <>
              –<small>none yet</small>
            </>
          ) : (
            <>
              {lastScrub.findings === 0 ? 'no findings' : `findings: ${lastScrub.findings}`}
              <small>
                <Time date={new Date(lastScrub.finished)} /> UTC
              </small>
            </>
          )}
        </dd>
      </div>
    </dl>
  );
}

function Fact({ name, value, more }: { name: string; value: string; more?: string | undefined }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        {value}
        {more !== undefined && <small>{more}</small>}
      </dd>
    </div>
  );
}

function Empty({ isComplete }: { readonly isComplete: boolean }) {
  if (!isComplete) return <p class="muted">No release was read yet. Reload this page in a moment.</p>;
  return (
    <>
      <h3>This cache has no release yet</h3>
      <p class="muted">On its machine, add releases in one of these ways:</p>
      <div class="commands">
        <CopyBlock text="cache import /mnt/device" what="the command for a medium or a folder of archives" />
        <CopyBlock text="cache pack /opt/slapgrid/MD5" what="the command for a release compiled there" />
        <CopyBlock text="cache fetch URL" what="the command for another cache" />
      </div>
    </>
  );
}

function lookupCommand(url: string): string {
  return [
    'SR="https://lab.nexedi.com/nexedi/slapos/raw/VERSION/software/NAME/software.cfg"',
    `curl "${url}/bdir/$(printf %s "$SR" | md5sum | cut -d ' ' -f 1)"`,
  ].join('\n');
}
