import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { checkCustody, type CustodyLine, type CustodyRecord } from '../../cache/custody-chain.ts';
import { CacheError } from '../../cache/errors.ts';
import { quoteBriefly } from '../../cache/digest.ts';
import { CUSTODY_FILE } from '../../cache/layout.ts';
import type { Config } from '../../config/config.ts';
import { parseDuration } from '../../config/duration.ts';
import { keyOf } from '../../operations/lookup.ts';
import type { CommonOptions } from '../common-options.ts';
import { EXIT, endWith } from '../exit-code.ts';
import { parseOption } from '../parse-option.ts';
import { openStore, readConfig } from '../site.ts';
import { formatCount, formatDate, formatSize } from '../terminal/format.ts';
import { createTerminal, type Terminal } from '../terminal/terminal.ts';

export interface LogOptions extends CommonOptions {
  readonly json?: boolean;
  readonly since?: string;
  readonly key?: string;
  readonly lines?: string;
}

/** Of a log that is broken in many places, the first ones tell enough. */
const FINDINGS_TOLD = 20;

export async function log({ config: file, quiet = false, ...options }: LogOptions): Promise<void> {
  const terminal = createTerminal({ quiet });
  const isWanted = selectionOf(options);
  const last = countOf(options);
  const config = await readConfig(file);
  const { custody } = await openStore(config, terminal, { write: false });
  const show = options.json ? (line: CustodyLine) => line.text : createRows();
  const tell = createFindingTeller(terminal);
  let kept: CustodyLine[] = [];
  let end: CustodyLine | undefined;
  let wanted = 0;
  for await (const line of checkCustody(custody.lines())) {
    end = line;
    tell(line);
    if (line.record === undefined || !isWanted(line.record)) continue;
    wanted++;
    if (last === undefined) terminal.print(show(line));
    else if (kept.push(line) >= 2 * last) kept = kept.slice(-last);
  }
  if (last !== undefined) for (const line of kept.slice(-last)) terminal.print(show(line));
  if (end === undefined) {
    terminal.tell(await describeNothing(config));
    return;
  }
  const isAll = options.since === undefined && options.key === undefined && last === undefined;
  const shown = Math.min(wanted, last ?? wanted);
  const some =
    shown === 0 ? `none of the ${end.number} lines is asked for` : `${shown} of ${end.number} lines`;
  terminal.tell(
    `${isAll ? formatCount(end.number, 'line') : some}; the sha512 of the last one is ${end.digest}`,
  );
}

/** A log that was moved away is not one that was never written. */
async function describeNothing({ store }: Config): Promise<string> {
  const isThere = await access(join(store.path, CUSTODY_FILE)).then(
    () => true,
    () => false,
  );
  return isThere
    ? 'nothing was recorded yet'
    : `there is no ${CUSTODY_FILE} in the store: nothing was recorded yet, or it was moved away`;
}

/** @throws CacheError `usage` */
function selectionOf({ since, key }: LogOptions): (record: CustodyRecord) => boolean {
  const begin = since === undefined ? -Infinity : parseOption('--since', () => parseSince(since));
  const wanted = key === undefined ? undefined : parseOption('--key', () => keyOf(key));
  return (record) => Date.parse(record.at) >= begin && (wanted === undefined || record.key === wanted);
}

/** A date, or how long ago. @returns milliseconds since 1970 @throws CacheError `usage` */
function parseSince(text: string): number {
  if (!/^\d{4}-\d\d-\d\d/.test(text)) return Date.now() - parseDuration(text, 'd');
  const date = Date.parse(text);
  if (Number.isFinite(date)) return date;
  throw new CacheError('usage', `not a date: ${quoteBriefly(text)}; write 2026-11-20 or 2026-11-20T21:34Z`);
}

/** @throws CacheError `usage` */
function countOf({ lines }: LogOptions): number | undefined {
  if (lines === undefined) return undefined;
  if (/^[1-9]\d{0,8}$/.test(lines)) return Number(lines);
  throw new CacheError('usage', `--lines: not a number of lines: ${quoteBriefly(lines)}`);
}

function createFindingTeller(terminal: Terminal): (line: CustodyLine) => void {
  let count = 0;
  return ({ finding }) => {
    if (finding === undefined) return;
    if (finding.kind === 'broken') endWith(EXIT.incomplete);
    count++;
    if (count <= FINDINGS_TOLD) terminal.warn(`cache: custody.log: ${finding.message}`);
    else if (count === FINDINGS_TOLD + 1)
      terminal.warn('cache: custody.log: more is wrong: cache verify tells all');
  };
}

/** Written as they come, because a log may be of any length: columns have fixed widths, and what is longer shifts the rest. */
function createRows(): (line: CustodyLine) => string {
  let heading = `${rowOf('WHEN', 'WHO', 'ACTION', 'WHAT')}\n`;
  return ({ record }) => {
    if (record === undefined) return '';
    const row = `${heading}${rowOf(formatDate(record.at), whoOf(record), record.action, whatOf(record))}`;
    heading = '';
    return row;
  };
}

function rowOf(when: string, who: string, action: string, what: string): string {
  const row = `${when.padEnd(16)}  ${who.padEnd(24)}  ${action.padEnd(6)}  ${what}`;
  // What stands in a log may come from anybody: nothing of it may act on the terminal.
  return row.replace(/[\p{Cc}\u2028\u2029]/gu, '?').trimEnd();
}

function whoOf({ who: { user, sudoUser, remote, host } }: CustodyRecord): string {
  if (remote !== undefined) return `${user ?? 'anonymous'}@${remote.replace(/^::ffff:/, '')}`;
  return `${sudoUser === undefined ? '' : `${sudoUser} as `}${user ?? ''}@${host}`;
}

function whatOf({ softwareUrl, key, sha512, size, source, target, reason }: CustodyRecord): string {
  return [
    softwareUrl ?? key ?? (sha512 === undefined ? '' : `blob ${sha512.slice(0, 16)}`),
    size === undefined ? '' : formatSize(size),
    source === undefined ? '' : `from ${source}`,
    target === undefined ? '' : `to ${target}`,
    reason === undefined ? '' : `(${reason})`,
  ]
    .filter((part) => part !== '')
    .join('  ');
}
