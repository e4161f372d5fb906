import type { CatalogRelease } from '../../cache/catalog.ts';
import type { Key } from '../../cache/key.ts';
import { formatPlatform } from '../../cache/platform.ts';
import { quoteForShell } from '../../cache/shell.ts';
import { CopyBlock, PlatformName, Size, State, Time } from './common.tsx';
import { Document } from './document.tsx';
import { blobLink, releaseLink, withQuery } from './links.ts';
import { Outside, visible } from './outside.tsx';
import type { NodeChoice, ShownEntry } from './release-entries.ts';
import type { View } from './view.ts';

export interface ReleasePageProps {
  readonly view: View;
  readonly key: Key;
  /** The URL, if the entries are of a release. */
  readonly softwareUrl: string | undefined;
  /** Name and version; undefined if the list of releases lacks it. */
  readonly known: CatalogRelease | undefined;
  readonly shown: readonly ShownEntry[];
  /** Of all entries. */
  readonly total: number;
  readonly choices: readonly NodeChoice[];
  /** Releases of the same name. */
  readonly others: readonly CatalogRelease[];
}

/** `/release/<key>`: what the store has for a key, read for this page. */
export function ReleasePage(props: ReleasePageProps) {
  const { view, key, softwareUrl, known, shown, total, choices, others } = props;
  const { root } = view;
  const isRelease = softwareUrl !== undefined;
  const title = known === undefined ? (isRelease ? 'Release' : key) : `${known.name} ${known.version ?? ''}`;
  return (
    <Document title={title} {...view} current={isRelease ? '' : 'sources'}>
      <p class="small">
        <a href={isRelease ? root : `${root}sources`}>{isRelease ? 'Releases' : 'Sources'}</a>
      </p>
      <h1>
        <Outside text={title.trim()} />
      </h1>
      <dl class="pairs">
        {isRelease && (
          <>
            <dt>software URL</dt>
            <dd class="mono">
              <Outside text={softwareUrl} />
            </dd>
          </>
        )}
        <dt>key</dt>
        <dd class="mono">
          <Outside text={key} />
        </dd>
      </dl>
      {isRelease && <Install {...props} softwareUrl={softwareUrl} />}
      {choices.length > 0 && <Choices choices={choices} />}
      <h2>{isRelease ? 'Entries in the store, newest first' : 'Entries of this source, newest first'}</h2>
      {shown.map((one) => (
        <EntryCard one={one} root={root} name={known?.name} isRelease={isRelease} />
      ))}
      {total > shown.length && <p class="muted">{`and ${total - shown.length} older entries`}</p>}
      {others.length > 0 && (
        <>
          <h2>Other versions</h2>
          <ul class="list">
            {others.map((other) => (
              <li>
                <a href={releaseLink(root, other.key)}>
                  <Outside text={`${other.name} ${other.version ?? other.url}`} />
                </a>
              </li>
            ))}
          </ul>
        </>
      )}
    </Document>
  );
}

function Install({ view, softwareUrl }: ReleasePageProps & { readonly softwareUrl: string }) {
  const supply = `slapos supply ${quoteForShell(visible(softwareUrl))} COMPUTER`;
  return (
    <>
      <h2>Install it</h2>
      <CopyBlock text={supply} what="the command that supplies it to a node" />
      <p class="small muted after">
        <a href={withQuery(`${view.root}check`, { url: softwareUrl })}>Check whether a node can install it</a>
      </p>
    </>
  );
}

function Choices({ choices }: Pick<ReleasePageProps, 'choices'>) {
  return (
    <>
      <h2>What nodes install</h2>
      <div class="frame">
        <table class="cards">
          <caption class="sr">What nodes of each platform install</caption>
          <thead>
            <tr>
              <th scope="col">Nodes of</th>
              <th scope="col">Entry</th>
              <th scope="col" class="num">
                Size
              </th>
              <th scope="col">Result</th>
            </tr>
          </thead>
          <tbody class="each">
            {choices.map(({ platform, taken }) => (
              <tr>
                <th scope="row" class="platform">
                  <PlatformName platform={platform} />
                </th>
                <td>
                  <span>
                    {taken === undefined ? (
                      'none'
                    ) : (
                      <a href={`#entry-${taken.number}`}>{`entry ${taken.number}`}</a>
                    )}
                  </span>
                </td>
                <td class="num">
                  <Size size={taken?.size} />
                </td>
                <td>
                  <Result taken={taken} />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

function Result({ taken }: Pick<NodeChoice, 'taken'>) {
  const [kind, mark, text] =
    taken === undefined
      ? (['warn', '⚠', 'compile: no trusted entry'] as const)
      : taken.size === undefined
        ? (['bad', '✖', 'fail: the blob is missing'] as const)
        : (['good', '✔', 'install it'] as const);
  return (
    <span class={`badge ${kind}`}>
      <i aria-hidden="true">{mark}</i> <span>{text}</span>
    </span>
  );
}

interface EntryCardProps {
  readonly one: ShownEntry;
  readonly root: string;
  readonly name: string | undefined;
  readonly isRelease: boolean;
}

function EntryCard({ one, root, name, isRelease }: EntryCardProps) {
  const { entry, number, signer, size } = one;
  const { platform, sha512, url, basename, received, creationDate, file } = entry;
  const title =
    platform !== undefined ? formatPlatform(platform) : (basename ?? (isRelease ? 'no platform' : 'file'));
  return (
    <article class="card entry" id={`entry-${number}`}>
      <header>
        <h3>
          <span class="muted">{`Entry ${number} · `}</span>
          <Outside text={title} />
        </h3>
        <State signer={signer} isMissing={size === undefined} />
      </header>
      <dl class="pairs">
        {url !== undefined && (
          <>
            <dt>URL</dt>
            <dd class="mono">
              <Outside text={url} />
            </dd>
          </>
        )}
        <dt>sha512</dt>
        <dd>
          <code>{sha512}</code>
        </dd>
        <dt>size</dt>
        <dd>
          {size === undefined ? (
            'the store does not have the blob'
          ) : (
            <>
              <Size size={size} /> <span class="muted">{`(${size} bytes)`}</span> ·{' '}
              <a href={blobLink(root, sha512)} download={fileNameOf(one, name)}>
                Download
              </a>
            </>
          )}
        </dd>
        <dt>received</dt>
        <dd>
          <Time date={received} /> UTC
        </dd>
        {creationDate !== undefined && (
          <>
            <dt>made</dt>
            <dd>
              <Outside text={creationDate} /> <span class="muted">according to the entry</span>
            </dd>
          </>
        )}
        {file !== undefined && (
          <>
            <dt>archive</dt>
            <dd>
              <Outside text={file} />
            </dd>
          </>
        )}
        <dt>signature</dt>
        <dd>
          {signer === undefined ? (
            faultOf(one)
          ) : (
            <>
              verified by <Outside text={signer.name} />
              <br />
              <code class="muted">{`SHA-256 ${signer.fingerprint}`}</code>
            </>
          )}
        </dd>
        {isRelease && platform !== undefined && (
          <>
            <dt>nodes</dt>
            <dd>{useOf(one)}</dd>
          </>
        )}
      </dl>
    </article>
  );
}

function faultOf({ entry: { pair } }: ShownEntry): string {
  return pair[1] === ''
    ? 'none: the entry is not signed'
    : 'not verified: no trusted certificate verifies the signature. Trust its certificate with cache trust add, if it is right';
}

function useOf({ signer, size, supersededBy }: ShownEntry) {
  if (supersededBy !== undefined)
    return (
      <>
        superseded by <a href={`#entry-${supersededBy}`}>{`entry ${supersededBy}`}</a>
      </>
    );
  if (signer === undefined) return 'skip this entry';
  return size === undefined ? 'fail: the blob is missing' : 'install this entry';
}

/** A name for the downloaded file; browsers remove what their system does not allow. */
function fileNameOf(
  { entry: { file, basename, platform, sha512 } }: ShownEntry,
  name: string | undefined,
): string {
  const given = file ?? basename;
  if (given !== undefined) return visible(given);
  const parts = [name, platform?.os[0], platform?.os[1]].filter((part) => part !== undefined);
  return `${parts.length === 0 ? sha512.slice(0, 16) : visible(parts.join('-'))}.tar.gz`;
}
