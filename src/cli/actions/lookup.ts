import { formatSize } from '../../cache/amount.ts';
import { formatPlatform } from '../../cache/platform.ts';
import { keysToTry, lookUp, type LookupRow, type SourceTerms } from '../../operations/lookup.ts';
import { asOneLine } from '../../cache/controls.ts';
import { sourceOfStore, type Source } from '../../cache/source.ts';
import type { Site } from '../../operations/site.ts';
import { IMPATIENT } from '../../upstream/attempts.ts';
import type { UpstreamUrls } from '../../upstream/client.ts';
import { noteBlacklist } from '../blacklist-note.ts';
import { EXIT, endWith } from '../exit-code.ts';
import type { LookupOptions } from '../commands/lookup.ts';
import { isoTime, printJson } from '../json-output.ts';
import { createKnownReleases, inServer, inStore, type KnownReleases } from '../known-releases.ts';
import { machineOf, openSite, openStoreSite } from '../site.ts';
import { checkCa, openServer, urlsOfOptions, warnOfDoubts } from '../servers.ts';
import { formatDate } from '../terminal/format.ts';
import { formatTable } from '../terminal/table.ts';

export async function lookup(text: string, options: LookupOptions): Promise<void> {
  const site = await (options.server === undefined ? openStoreSite : openSite)(options);
  const { config, terminal } = site;
  const { ca } = options;
  const server = urlsOfOptions(options, config);
  await checkCa(ca, [server], terminal);
  const { source, known } = await openAsked(site, server, options);
  const target = await known.resolve(text);
  const keys = keysToTry(target);
  const machine = await machineOf(options);
  const { key, rows } = await lookUp(target, source, machine, await site.trusted());
  const isUrl = key !== target;
  const isSource = rows.length > 0 && rows.every((row) => row.source !== undefined);
  if (isUrl && !isSource) noteBlacklist(target, terminal);
  const suggestions = rows.length === 0 ? await known.suggest(target) : [];
  if (options.json) {
    const url = isUrl ? { url: target } : {};
    printJson(
      'lookup',
      { ...url, key, platform: machine, entries: rows.map(rowJson), suggestions },
      terminal,
    );
  }
  if (rows.length === 0) {
    terminal.warn(`cache: nothing is known for ${target}${isUrl ? ` (key ${keys.join(' or ')})` : ''}`);
    for (const url of suggestions) terminal.warn(`cache: did you mean ${url} ?`);
    endWith(EXIT.incomplete);
  } else if (!options.json) {
    if (isUrl) terminal.tell(`key ${key}${isSource ? '' : `, compared with ${formatPlatform(machine)}`}`);
    terminal.print(isSource ? formatSources(rows) : formatRows(rows));
  }
  await warnOfDoubts(source, terminal);
}

interface Asked {
  readonly source: Source;
  readonly known: KnownReleases;
}

/** @param urls of the running cache; undefined for the site's store */
async function openAsked(site: Site, urls: UpstreamUrls | undefined, { ca }: LookupOptions): Promise<Asked> {
  if (urls === undefined) {
    const store = await site.store('read');
    return { source: sourceOfStore(store), known: createKnownReleases(site, inStore(store)) };
  }
  const server = await openServer(urls, site.config, { ca, patience: IMPATIENT });
  return { source: server, known: createKnownReleases(site, inServer(server)) };
}

function rowJson({ source, received, creationDate, ...row }: LookupRow) {
  return { ...row, ...source, received: received?.toISOString(), created: isoTime(creationDate) };
}

function dateOf({ received, creationDate }: Pick<LookupRow, 'received' | 'creationDate'>): string {
  const date = received ?? creationDate;
  return date === undefined ? '' : formatDate(date);
}

function formatSources(rows: readonly LookupRow[]): string {
  const table = formatTable(
    ['', 'VALID?', 'SIGNER', 'SIZE', 'DATE', 'URL OR FILE'],
    rows.map(({ verified, signer, size, source, ...row }, index) => [
      String(index + 1),
      verified ? 'yes' : 'no',
      signer?.name ?? '',
      size === undefined ? 'MISSING' : formatSize(size),
      dateOf(row),
      source?.url ?? source?.basename ?? '',
    ]),
  );
  return [table, '', ...rows.flatMap((row, index) => detailsOf(row, index + 1))].join('\n');
}

function detailsOf({ sha512, source }: LookupRow, number: number): readonly string[] {
  const members = Object.entries(source?.members ?? {});
  const texts = members.map(([name, value]) => asOneLine(`${name} ${formatMember(value)}`));
  return [`${number}  sha512 ${sha512}`, ...(texts.length === 0 ? [] : [`${number}  ${texts.join(', ')}`])];
}

function formatMember(value: SourceTerms['members'][string]): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

function formatRows(rows: readonly LookupRow[]): string {
  return formatTable(
    ['PLATFORM', 'FITS?', 'VALID?', 'SIZE', 'DATE', 'SHA512'],
    rows.map(({ platform, compatible, verified, size, sha512, ...row }) => [
      platform === undefined ? '?' : formatPlatform(platform),
      compatible ? 'yes' : 'no',
      verified ? 'yes' : 'no',
      size === undefined ? 'MISSING' : formatSize(size),
      dateOf(row),
      sha512,
    ]),
  );
}
