import { text as readAll } from 'node:stream/consumers';
import { CacheError, type ErrorCode, shortReasonOf } from '../../cache/errors.ts';
import { formatPlatform, type Platform } from '../../cache/platform.ts';
import { readSmallFile } from '../../files/small-file.ts';
import { keyOf } from '../../operations/lookup.ts';
import { sourceOfStore, type Source } from '../../cache/source.ts';
import type { Store } from '../../cache/store.ts';
import { createSite, type Site } from '../../operations/site.ts';
import { checkRelease, type ReleaseCheck } from '../../operations/upkeep/check-release.ts';
import { IMPATIENT } from '../../upstream/attempts.ts';
import type { UpstreamUrls } from '../../upstream/client.ts';
import { blacklistNote } from '../blacklist-note.ts';
import { adviceFor } from '../check-advice.ts';
import type { CheckOptions } from '../commands/check.ts';
import { EXIT, endWith, exitCodeOf } from '../exit-code.ts';
import { printJson } from '../json-output.ts';
import { createKnownReleases, inServer, inStore } from '../known-releases.ts';
import { checkCa, openServer, urlsOfOptions, warnOfDoubts } from '../servers.ts';
import { machineOf, openSite } from '../site.ts';
import { formatSize } from '../terminal/format.ts';
import { createProgress } from '../terminal/progress.ts';
import { formatTable } from '../terminal/table.ts';
import type { Terminal } from '../terminal/terminal.ts';

/** What is told of one URL. */
interface CheckedUrl extends ReleaseCheck {
  readonly url: string;
  readonly installable: boolean;
  /** What a person should know although a node could install it. */
  readonly notes: readonly string[];
  /** Known URLs that are most like it, where nothing is known of it. */
  readonly suggestions: readonly string[];
  /** What would help, commands among it. */
  readonly fixes: readonly string[];
}

export async function check(urls: readonly string[], options: CheckOptions): Promise<void> {
  const { quiet = false, json = false, deep = false } = options;
  const { config, terminal } = await openSite(options);
  // Damage decides nothing: a node may well be able to install all the same.
  const site = createSite(config, {
    ...terminal,
    fail: (text) => {
      terminal.warn(text);
    },
  });
  const lists = await Promise.all((options.file ?? []).map(readUrlList));
  const named = [...urls, ...lists.flat()];
  if (named.length === 0) throw new CacheError('usage', 'no URL is named; name some, or a list with --file');
  const machine = await machineOf(options);
  const server = urlsOfOptions(options, config);
  await checkCa(options.ca, [server], terminal);
  const trusted = await site.trusted();
  const { source, store } = await openSource(site, server, options);
  const ownerFault = store && ((path: string) => store.upkeep.ownerFault(path));
  const known = createKnownReleases(site, store === undefined ? inServer(source) : inStore(store));
  const wanted = new Set<string>();
  for (const text of named) wanted.add(await known.resolve(text));
  const progress = createProgress(undefined, { quiet });
  const checked: CheckedUrl[] = [];
  try {
    for (const url of wanted) {
      const onProgress = (bytes: number): void => {
        progress.advance(url, bytes);
      };
      const result = await checkOne(url, source, { machine, trusted, deep, ownerFault, onProgress });
      const { problem } = result;
      checked.push({
        ...{ url, installable: problem === undefined, ...result },
        notes: [blacklistNote(url)].filter((note) => note !== undefined),
        suggestions: problem?.kind === 'no-entry' ? await known.suggest(url) : [],
        fixes:
          problem === undefined ? [] : adviceFor(problem, { url, options, site, server: options.server }),
      });
    }
  } finally {
    progress.clear();
  }
  if (json) printJson('check', { platform: machine, releases: checked.map(checkedJson) }, terminal);
  else printChecked(checked, machine, terminal);
  await warnOfDoubts(source, terminal);
  if (checked.some(({ installable }) => !installable)) endWith(EXIT.incomplete);
}

function checkedJson({ url, key, problem, chosen, platforms, notes, suggestions, fixes }: CheckedUrl) {
  return {
    status: problem?.kind ?? ('installable' as const),
    ...(url === key ? {} : { url }),
    ...{ key, reason: problem?.message, ...chosen },
    ...{ platforms, notes, suggestions, fixes },
  };
}

async function openSource(
  site: Site,
  server: UpstreamUrls | undefined,
  { ca }: CheckOptions,
): Promise<{ readonly source: Source; readonly store?: Store }> {
  if (server !== undefined)
    return { source: await openServer(server, site.config, { ca, patience: IMPATIENT }) };
  const store = await site.store('read');
  return { source: sourceOfStore(store), store };
}

/** What stops one release only; the others are looked at all the same. */
const PASSING: ReadonlySet<ErrorCode> = new Set(['unavailable', 'unauthorized', 'forbidden']);

async function checkOne(
  url: string,
  source: Source,
  options: Parameters<typeof checkRelease>[2],
): Promise<ReleaseCheck> {
  const key = keyOf(url);
  try {
    return await checkRelease(key, source, options);
  } catch (error) {
    if (!(error instanceof CacheError) || !PASSING.has(error.code)) throw error;
    endWith(exitCodeOf(error));
    const problem = { kind: 'unavailable', message: error.message } as const;
    return { key, problem, chosen: undefined, platforms: [] };
  }
}

/** A URL a line; `-` is stdin. @throws CacheError `usage` */
async function readUrlList(file: string): Promise<readonly string[]> {
  let content: string;
  try {
    content = file === '-' ? await readAll(process.stdin) : (await readSmallFile(file)).toString('utf8');
  } catch (error) {
    throw new CacheError('usage', `--file: ${file} can't be read (${shortReasonOf(error)})`, {
      cause: error,
    });
  }
  return content
    .replace(/^\ufeff/, '')
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'));
}

function printChecked(checked: readonly CheckedUrl[], machine: Platform, terminal: Terminal): void {
  terminal.tell(`compared with ${formatPlatform(machine)}`);
  terminal.print(
    formatTable(
      ['INSTALLS?', 'PLATFORM', 'SIZE', 'URL'],
      checked.map(({ url, installable, problem, chosen }) => [
        installable ? 'yes' : problem?.kind === 'unavailable' ? 'unknown' : 'NO',
        chosen?.platform === undefined ? '' : formatPlatform(chosen.platform),
        chosen?.size === undefined ? '' : formatSize(chosen.size),
        url,
      ]),
    ),
  );
  for (const { url, problem, notes, suggestions, fixes } of checked) {
    const lines = [
      ...(problem === undefined ? [] : [problem.message]),
      ...suggestions.map((suggestion) => `did you mean ${suggestion} ?`),
      ...fixes.map((fix) => `-> ${fix}`),
      ...notes.map((note) => `note: ${note}`),
    ];
    if (lines.length > 0) terminal.print(['', url, ...lines.map((line) => `  ${line}`)].join('\n'));
  }
}
