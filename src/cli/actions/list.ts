import { formatSize } from '../../cache/amount.ts';
import { formatPlatform } from '../../cache/platform.ts';
import { commandOf } from '../../operations/command-line.ts';
import {
  listReleases,
  listSources,
  type ListedSource,
  type Release,
} from '../../operations/list-releases.ts';
import type { ListOptions } from '../commands/list.ts';
import { printJson } from '../json-output.ts';
import { openStoreSite } from '../site.ts';
import { formatDate } from '../terminal/format.ts';
import { formatTable } from '../terminal/table.ts';

export async function list(options: ListOptions): Promise<void> {
  const { json, releases, sources } = options;
  const site = await openStoreSite(options);
  const { terminal } = site;
  const { blobs, directory } = await site.store('read');
  const isBoth = releases === sources;
  const shownReleases = isBoth || releases ? await listReleases(directory, blobs, await site.trusted()) : [];
  const shownSources = isBoth || sources ? await listSources(directory, blobs, await site.trusted()) : [];
  if (json) {
    printJson('list', [...shownReleases.map(releaseJson), ...shownSources.map(sourceJson)], terminal);
    return;
  }
  const tables = [formatReleases(shownReleases), formatSources(shownSources)].filter((table) => table !== '');
  if (tables.length > 0) terminal.print(tables.join('\n\n'));
  else if (isBoth || releases)
    terminal.tell(
      `the store has no software release; fill it with: ${commandOf(site.config, 'import FOLDER')}`,
    );
  else
    terminal.tell(
      `the store has no source; fill it by uploads, or with: ${commandOf(site.config, 'fetch KEY')}`,
    );
}

function releaseJson({ softwareUrl: url, key, builds }: Release) {
  return { url, key, builds: builds.map(withIsoTime) };
}

function sourceJson({ key, entries }: ListedSource) {
  return { key, entries: entries.map(withIsoTime) };
}

function withIsoTime<Item extends { readonly received: Date }>({ received, ...item }: Item) {
  return { ...item, received: received.toISOString() };
}

/** One row for each release and platform; it has the signers if any has several. */
function formatReleases(releases: readonly Release[]): string {
  const isSigned = releases.some(({ builds }) => builds.some(({ signers }) => signers.length > 1));
  const rows = releases.flatMap(({ softwareUrl, builds }) =>
    builds.map(({ platform, size, received, signers }) => [
      formatPlatform(platform),
      size === undefined ? 'MISSING' : formatSize(size),
      formatDate(received),
      ...(isSigned ? [signers.map(({ name }) => name).join(', ') || 'NOT TRUSTED'] : []),
      softwareUrl,
    ]),
  );
  const headings = ['PLATFORM', 'SIZE', 'RECEIVED', ...(isSigned ? ['SIGNERS'] : []), 'URL'];
  return rows.length === 0 ? '' : formatTable(headings, rows);
}

function formatSources(sources: readonly ListedSource[]): string {
  const rows = sources.flatMap(({ key, entries }) =>
    entries.map(({ url, basename, size, received, signer }) => [
      key,
      size === undefined ? 'MISSING' : formatSize(size),
      formatDate(received),
      signer?.name ?? 'NOT TRUSTED',
      url ?? basename ?? '',
    ]),
  );
  return rows.length === 0 ? '' : formatTable(['KEY', 'SIZE', 'RECEIVED', 'SIGNER', 'URL OR FILE'], rows);
}
