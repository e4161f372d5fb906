import { formatSize } from '../../cache/amount.ts';
import { isKey } from '../../cache/key.ts';
import { actorOf, type LogRecord } from '../../cache/store-log.ts';
import { Cut, PageLinks, Time } from './common.tsx';
import { Document } from './document.tsx';
import { releaseLink, withQuery } from './links.ts';
import { Outside } from './outside.tsx';
import type { View } from './view.ts';

export interface LogPageProps {
  readonly view: View;
  /** Newest first; a text says why a record can't be read. */
  readonly records: readonly (LogRecord | string)[];
  /** Of the next page. */
  readonly before: string | undefined;
  readonly isFirst: boolean;
  /** Whether an earlier version left records, which only `cache log` shows. */
  readonly hasOldRecords: boolean;
}

/** `/log`: who did what to the store, and when. */
export function LogPage({ view, records, before, isFirst, hasOldRecords }: LogPageProps) {
  const path = `${view.root}log`;
  return (
    <Document title="Log" current="log" {...view}>
      <h1>Log</h1>
      <p class="lead">
        Who changed the store, and when. The times are those of the machines, which may have wrong clocks.
      </p>
      {records.length === 0 ? (
        <div class="card empty">
          <h3>{isFirst ? 'Nothing was recorded yet' : 'No earlier records'}</h3>
        </div>
      ) : (
        <div class="frame spaced">
          <table class="cards">
            <caption class="sr">Changes of the store, newest first</caption>
            <thead>
              <tr>
                <th scope="col">When (UTC)</th>
                <th scope="col">Who</th>
                <th scope="col">Action</th>
                <th scope="col" class="what">
                  What
                </th>
              </tr>
            </thead>
            <tbody class="each">
              {records.map((record) => (
                <RecordRow record={record} root={view.root} />
              ))}
            </tbody>
          </table>
        </div>
      )}
      <PageLinks
        label="Pages of the log"
        first={{ text: 'Newest', href: isFirst ? undefined : path }}
        next={{ text: 'Earlier', href: before === undefined ? undefined : withQuery(path, { before }) }}
      />
      {before === undefined && hasOldRecords && (
        <p class="muted after">
          An earlier version of this program recorded more: <code>cache log</code> shows it.
        </p>
      )}
    </Document>
  );
}

function RecordRow({ record, root }: { record: LogRecord | string; root: string }) {
  if (typeof record === 'string')
    return (
      <tr>
        <td colspan={4}>
          <span class="badge bad">
            <i aria-hidden="true">✖</i> <Outside text={record} />
          </span>
        </td>
      </tr>
    );
  const { at, action, key, softwareUrl, sha512, size, source, target, reason } = record;
  const what = softwareUrl ?? key ?? (sha512 === undefined ? '' : `blob ${sha512.slice(0, 16)}…`);
  const more = [
    size === undefined ? '' : formatSize(size),
    source === undefined ? '' : `from ${source}`,
    target === undefined ? '' : `to ${target}`,
    reason ?? '',
  ].filter((part) => part !== '');
  return (
    <tr>
      <td class="date">
        <Time date={new Date(at)} />
      </td>
      <td>
        <Cut text={actorOf(record)} />
      </td>
      <td>
        <Outside text={action} />
      </td>
      <td class="what">
        {key !== undefined && isKey(key) ? (
          <a class="plain" href={releaseLink(root, key)}>
            <Cut text={what} />
          </a>
        ) : (
          <Cut text={what} />
        )}
        {more.length > 0 && (
          <span class="url">
            <Cut text={more.join(' · ')} />
          </span>
        )}
      </td>
    </tr>
  );
}
