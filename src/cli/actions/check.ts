import { text as readAll } from 'node:stream/consumers';
import { formatSize } from '../../cache/amount.ts';
import { CacheError, type ErrorCode, shortReasonOf } from '../../cache/errors.ts';
import { formatPlatform, type Platform } from '../../cache/platform.ts';
import { readSmallFile } from '../../files/small-file.ts';
import { blacklistNote, keyOf } from '../../operations/lookup.ts';
import type { TrustedCertificates } from '../../cache/signature.ts';
import { sourceOfStore, type Source } from '../../cache/source.ts';
import { createSite, type Site } from '../../operations/site.ts';
import { readPythonAuthorities } from '../../operations/known-authorities.ts';
import {
  obstacleOf,
  planOf,
  readSlaposNode,
  type NodePlan,
  type SlaposNode,
} from '../../operations/slapos-node.ts';
import { readMachine } from '../../operations/this-machine.ts';
import {
  checkRelease,
  type ReleaseCheck,
  type ReleaseProblem,
} from '../../operations/upkeep/check-release.ts';
import { IMPATIENT } from '../../upstream/attempts.ts';
import { isReleaseName } from '../../operations/named-releases.ts';
import { testTrust } from '../../upstream/python-trust.ts';
import { adviceFor } from '../check-advice.ts';
import type { CheckOptions } from '../commands/check.ts';
import { EXIT, endWith, exitCodeOf } from '../exit-code.ts';
import { printJson } from '../json-output.ts';
import { createKnownReleases, inServer, inStore, type KnownReleases } from '../known-releases.ts';
import { checkCa, openServer, urlsOfOptions, warnOfDoubts } from '../servers.ts';
import { machineOf, openSite, tellDefaultStore } from '../site.ts';
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
  /** What the node of `--slapos-cfg` does. */
  readonly node?: NodePlan;
}

export async function check(urls: readonly string[], options: CheckOptions): Promise<void> {
  const { quiet = false, json = false } = options;
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
  const asked = await openAsked(options, site, terminal);
  const { known } = asked;
  const wanted = new Set<string>();
  for (const text of named) wanted.add(await known.resolve(text));
  const progress = createProgress(undefined, { quiet });
  const checked: CheckedUrl[] = [];
  try {
    for (const url of wanted) {
      const onProgress = (bytes: number): void => {
        progress.advance(url, bytes);
      };
      checked.push(await checkUrl(url, asked, { options, site, onProgress }));
    }
  } finally {
    progress.clear();
  }
  const { machine, notes } = asked;
  if (json) printJson('check', { platform: machine, notes, releases: checked.map(checkedJson) }, terminal);
  else printChecked(checked, machine, notes, terminal);
  if (asked.source !== undefined) await warnOfDoubts(asked.source, terminal);
  if (checked.some(({ installable }) => !installable)) endWith(EXIT.incomplete);
}

function checkedJson({ url, key, problem, chosen, platforms, notes, suggestions, fixes, node }: CheckedUrl) {
  return {
    status: problem?.kind ?? ('installable' as const),
    ...(url === key ? {} : { url }),
    ...{ key, reason: problem?.message, ...chosen },
    ...{ platforms, notes, suggestions, fixes, node },
  };
}

/** The cache that is asked, and the node that it is asked for. */
interface Asked extends NodeMachine {
  /** That of `--slapos-cfg`. */
  readonly node: SlaposNode | undefined;
  /** Undefined if the node asks no cache. */
  readonly source: Source | undefined;
  /** Releases by name. */
  readonly known: KnownReleases;
  readonly trusted: TrustedCertificates;
  readonly ownerFault: ((path: string) => Promise<string | undefined>) | undefined;
  /** Why a node of this machine gets nothing over TLS. */
  readonly tlsProblem: ReleaseProblem | undefined;
  /** What concerns all URLs. */
  readonly notes: readonly string[];
}

async function openAsked(options: CheckOptions, site: Site, terminal: Terminal): Promise<Asked> {
  const { ca } = options;
  const nodeMachine = await readNodeMachine(options);
  const { isHere, hasGcc } = nodeMachine;
  const node = await readNode(options, isHere);
  const urls = node?.urls ?? urlsOfOptions(options, site.config);
  await checkCa(ca, [urls], terminal);
  const isOwn = urls === undefined && node === undefined;
  if (isOwn) tellDefaultStore(site);
  const trusted = node?.trusted ?? (await site.trusted());
  const store = isOwn ? await site.store('read') : undefined;
  const source =
    store === undefined
      ? urls && (await openServer(urls, site.config, { ca, patience: IMPATIENT }))
      : sourceOfStore(store);
  const tls = await checkTls(Object.values(urls ?? {}), isHere);
  return {
    ...nodeMachine,
    node,
    source,
    known: createKnownReleases(
      site,
      source === undefined ? NOWHERE : store === undefined ? inServer(source) : inStore(store),
    ),
    trusted,
    ownerFault: store && ((path) => store.upkeep.ownerFault(path)),
    tlsProblem: tls.problem,
    notes: [...(node?.notes ?? []), ...tls.notes, ...(isHere && !hasGcc ? [NO_GCC] : [])],
  };
}

interface UrlContext {
  readonly options: CheckOptions;
  readonly site: Site;
  readonly onProgress: (bytes: number) => void;
}

async function checkUrl(
  url: string,
  asked: Asked,
  { options, site, onProgress }: UrlContext,
): Promise<CheckedUrl> {
  const { node, source, known, tlsProblem } = asked;
  const obstacle = node && (await obstacleOf(url, node, asked));
  const result =
    obstacle !== undefined || source === undefined
      ? { key: keyOf(url), problem: obstacle, chosen: undefined, platforms: [] }
      : await checkOne(url, source, { ...asked, deep: options.deep ?? false, onProgress });
  // Here --ca may be missing, too; the node is refused whatever the cache has.
  const hidden = result.problem?.kind === 'unavailable' && tlsProblem ? result.problem : undefined;
  const problem = hidden === undefined ? (result.problem ?? tlsProblem) : tlsProblem;
  const host = node?.urls && new URL(node.urls.directory).host;
  const context = {
    ...{ url, options, site, server: options.server ?? host, slaposCfg: node?.file },
    ...{ platforms: result.platforms, machine: asked.machine },
  };
  const suggestions = problem?.kind === 'no-entry' ? await known.suggest(url) : [];
  const isMistyped = suggestions.length > 0 && isReleaseName(url);
  return {
    ...{ url, installable: problem === undefined, ...result, problem },
    notes: [hidden?.message, node === undefined ? blacklistNote(url) : undefined].filter(
      (note) => note !== undefined,
    ),
    suggestions,
    // A mistyped name has no archive to bring.
    fixes: problem === undefined || isMistyped ? [] : adviceFor(problem, context),
    ...(node === undefined ? {} : { node: planOf(url, node, problem) }),
  };
}

/** Of a node that asks no cache. */
const NOWHERE = { hasEntries: () => Promise.resolve(false) };

const NO_GCC =
  'this machine has no gcc: a node without gcc does not know its platform, never downloads, and compiles; install gcc';

interface NodeMachine {
  readonly machine: Platform;
  /** Whether it is this machine, rather than one that options name. */
  readonly isHere: boolean;
  readonly hasGcc: boolean;
}

async function readNodeMachine(options: CheckOptions): Promise<NodeMachine> {
  if (options.os !== undefined || options.multiarch !== undefined)
    return { machine: await machineOf(options), isHere: false, hasGcc: true };
  const { hasGcc, ...machine } = await readMachine();
  return { machine, isHere: true, hasGcc };
}

async function readNode(
  { slaposCfg, server }: CheckOptions,
  isHere: boolean,
): Promise<SlaposNode | undefined> {
  if (slaposCfg === undefined) return undefined;
  if (server !== undefined)
    throw new CacheError('usage', '--slapos-cfg and --server name two caches; leave out one of them');
  return readSlaposNode(slaposCfg, { isHere });
}

interface TlsCheck {
  readonly problem: ReleaseProblem | undefined;
  readonly notes: readonly string[];
}

/** What a node meets at `https://` URLs, for which `slapos node software` takes no CA. */
async function checkTls(urls: readonly string[], isHere: boolean): Promise<TlsCheck> {
  const origins = [...new Set(urls.filter((url) => /^https:/i.test(url)).map((url) => new URL(url).origin))];
  if (origins.length === 0) return { problem: undefined, notes: [] };
  if (!isHere)
    return {
      problem: undefined,
      notes: [`nodes download from ${origins.join(' and ')} only if their Python trusts the TLS certificate`],
    };
  const { SSL_CERT_FILE: file } = process.env;
  const by = `a Python of this machine (SSL_CERT_FILE is ${file ?? 'not set'})`;
  const authorities = await readPythonAuthorities(process.env);
  const notes: string[] = [];
  for (const origin of origins) {
    const { isTrusted, fault } = await testTrust(origin, authorities);
    if (isTrusted === true) notes.push(`${by} accepts the TLS certificate of ${origin}`);
    if (fault === undefined) continue;
    const message = `${by} refuses the TLS certificate of ${origin}: ${fault}`;
    return { problem: { kind: 'tls-refused', message }, notes: [] };
  }
  return { problem: undefined, notes };
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

function printChecked(
  checked: readonly CheckedUrl[],
  machine: Platform,
  notes: readonly string[],
  terminal: Terminal,
): void {
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
  for (const { url, problem, node, notes: own, suggestions, fixes } of checked) {
    const lines = [
      ...(problem === undefined ? [] : [problem.message]),
      ...(node === undefined ? [] : [node.text]),
      ...suggestions.map((suggestion) => `did you mean ${suggestion} ?`),
      ...fixes.map((fix) => `-> ${fix}`),
      ...own.map((note) => `note: ${note}`),
    ];
    if (lines.length > 0) terminal.say(['', url, ...lines.map((line) => `  ${line}`)].join('\n'));
  }
  if (notes.length > 0) terminal.say(['', ...notes.map((note) => `note: ${note}`)].join('\n'));
}
