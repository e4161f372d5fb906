import { formatCount, formatSize } from '../../cache/amount.ts';
import { actorOf, formatOneLine, type LogRecord, type StoreLog } from '../../cache/store-log.ts';
import { CacheError, isDamage } from '../../cache/errors.ts';
import { quoteBriefly } from '../../cache/digest.ts';
import type { Key } from '../../cache/key.ts';
import { CUSTODY_FILE } from '../../cache/layout.ts';
import { parseDuration } from '../../config/duration.ts';
import { keyOf } from '../../operations/lookup.ts';
import { findByName, isReleaseName } from '../../operations/named-releases.ts';
import type { LogOptions } from '../commands/log.ts';
import type { JsonOutput } from '../json-output.ts';
import { oneOf } from '../known-releases.ts';
import { parseOption } from '../parse-option.ts';
import { openStoreSite } from '../site.ts';
import { formatDate } from '../terminal/format.ts';
import { formatRow } from '../terminal/table.ts';
import type { Terminal } from '../terminal/terminal.ts';

export async function log(options: LogOptions): Promise<void> {
  const begin =
    options.since === undefined ? -Infinity : parseOption('--since', () => parseSince(options.since ?? ''));
  const named =
    options.key === undefined ? undefined : parseOption('--key', () => namedBy(options.key ?? ''));
  const last = countOf(options) ?? Infinity;
  const site = await openStoreSite(options);
  const { terminal } = site;
  const store = await site.store('read');
  const key = named && (await keyIn(store.log, named, terminal));
  const show = options.json ? formatJson : createRows();
  const isWanted = (record: LogRecord): boolean =>
    Date.parse(record.at) >= begin && (key === undefined || record.key === key);
  let kept: LogRecord[] = [];
  let [total, wanted] = [0, 0];
  for await (const record of readAll(store.log, terminal)) {
    total++;
    if (!isWanted(record)) continue;
    wanted++;
    if (last === Infinity) terminal.print(show(record));
    else if (kept.push(record) >= 2 * last) kept = kept.slice(-last);
  }
  if (last !== Infinity) for (const record of kept.slice(-last)) terminal.print(show(record));
  const shown = Math.min(wanted, last);
  const isAll = shown === total;
  terminal.tell(
    total === 0
      ? 'the log is empty: nothing was recorded yet'
      : isAll
        ? formatCount(total, 'record')
        : `${shown === 0 ? 'none' : shown} of ${formatCount(total, 'record')}`,
  );
}

/** One line, because a log may have any length. */
function formatJson({ at, who, action, key, entry, sha512, softwareUrl: url, ...rest }: LogRecord): string {
  return formatOneLine({ at, who, action, key, entry, sha512, url, ...rest } satisfies JsonOutput<'log'>);
}

/** A text, and its key if it is the name of no release. */
interface Named {
  readonly text: string;
  readonly key: Key;
}

function namedBy(text: string): Named {
  return { text, key: keyOf(text) };
}

/**
 * The key that a text names. Names are those of the releases in the log: it also has removed ones.
 * @throws CacheError `usage`
 */
async function keyIn(records: StoreLog, { text, key: given }: Named, terminal: Terminal): Promise<Key> {
  if (!isReleaseName(text)) return given;
  const urls = new Set<string>();
  // The records are read again to show them, and their damage is reported then.
  for await (const { key, softwareUrl } of readAll(records)) {
    if (key === given) return given;
    if (softwareUrl !== undefined) urls.add(softwareUrl);
  }
  const url = oneOf(text, findByName(text, urls, []));
  if (url === undefined) return given;
  terminal.tell(`${text} is ${url}`);
  return keyOf(url);
}

/** All records, the oldest first. Reports unreadable ones and continues. */
async function* readAll(records: StoreLog, terminal?: Terminal): AsyncGenerator<LogRecord> {
  let unreadable = 0;
  for await (const record of records.oldRecords()) {
    if (record === undefined) unreadable++;
    else yield record;
  }
  if (unreadable > 0)
    terminal?.warn(`cache: ${CUSTODY_FILE}: ${formatCount(unreadable, 'line')} can't be read`);
  for (const name of await records.list()) {
    try {
      const record = await records.read(name);
      if (record !== undefined) yield record;
    } catch (error) {
      if (!isDamage(error)) throw error;
      terminal?.fail(`cache: ${error.message}`, 'incomplete');
    }
  }
}

const DATE = /^(\d{4}-\d\d-\d\d)(?:[T ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?))?(?: ?(Z|UTC|[+-]\d\d:?\d\d))?$/;

/** A date, in the zone of this machine unless it names another, or a time span. @returns milliseconds since 1970 @throws CacheError `usage` */
function parseSince(text: string): number {
  if (!/^\d{4}-\d\d-\d\d/.test(text)) return Date.now() - parseDuration(text);
  const [, day = '', time = '00:00', zone = ''] = DATE.exec(text) ?? [];
  const date = Date.parse(`${day}T${time}${zone.replace('UTC', 'Z')}`);
  // Date.parse would take the 30th of February as a day of March.
  if (!Number.isNaN(date) && new Date(Date.parse(day)).toISOString().startsWith(day)) return date;
  throw new CacheError(
    'usage',
    `not a date: ${quoteBriefly(text)}; write 2026-11-20, "2026-11-20 21:34" or "2026-11-20 21:34 UTC"`,
  );
}

/** @throws CacheError `usage` */
function countOf({ lines }: LogOptions): number | undefined {
  if (lines === undefined) return undefined;
  if (/^[1-9]\d{0,8}$/.test(lines)) return Number(lines);
  throw new CacheError('usage', `--lines: not a number of lines: ${quoteBriefly(lines)}`);
}

/** Writes row by row, because a log may have any length: columns have fixed widths, and longer values shift the rest. */
function createRows(): (record: LogRecord) => string {
  let heading = `${formatRow(['WHEN', 'WHO', 'ACTION', 'SIZE', 'WHAT'], WIDTHS)}\n`;
  return (record) => {
    const { at, action, size } = record;
    const cells = [formatDate(at), actorOf(record), action, size === undefined ? '' : formatSize(size)];
    const row = heading + formatRow([...cells, ...whatOf(record)], WIDTHS);
    heading = '';
    return row;
  };
}

/** A time with a zone such as `+01:00`, `ci@192.168.100.200`, `import`, `118.4 MiB`. */
const WIDTHS = [formatDate(new Date()).length, 24, 6, 9];

/** What an action was about, from where or to where, and why. */
function whatOf({ softwareUrl, key, sha512, source, target, reason }: LogRecord): readonly string[] {
  return [
    softwareUrl ?? key ?? (sha512 === undefined ? '' : `blob ${sha512.slice(0, 16)}`),
    source === undefined ? '' : `from ${source}`,
    target === undefined ? '' : `to ${target}`,
    reason === undefined ? '' : `(${reason})`,
  ].filter((part) => part !== '');
}
