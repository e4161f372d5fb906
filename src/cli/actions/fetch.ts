import { formatSize } from '../../cache/amount.ts';
import { CacheError } from '../../cache/errors.ts';
import type { Signer } from '../../cache/signature.ts';
import { commandOf } from '../../operations/command-line.ts';
import { bytesToFetch, fetchPlanned, planFetch, type FetchResult } from '../../operations/fetch.ts';
import { readSigner } from '../../operations/signing-key.ts';
import type { FetchOptions } from '../commands/fetch.ts';
import { EXIT, endWith } from '../exit-code.ts';
import { printFetched, tellOffers, toJson, type Fetched } from '../fetch-report.ts';
import { printJson } from '../json-output.ts';
import { createKnownReleases, inServer } from '../known-releases.ts';
import { checkCa, openServer, urlsOfOptions, urlsOfUpstream, warnOfDoubts } from '../servers.ts';
import type { Site } from '../../operations/site.ts';
import { machineOf, openStoreSite } from '../site.ts';
import { createProgress } from '../terminal/progress.ts';

export async function fetchReleases(targets: readonly string[], options: FetchOptions): Promise<void> {
  const { ca, quiet = false, dryRun = false, json = false, allPlatforms = false } = options;
  if (allPlatforms && (options.os !== undefined || options.multiarch !== undefined))
    throw new CacheError('usage', '--all-platforms takes every platform; leave out --os and --multiarch');
  const site = await openStoreSite(options);
  const { config, terminal } = site;
  const server = urlsOfOptions(options, config) ?? urlsOfUpstream(config);
  await checkCa(ca, [server], terminal);
  const source = await openServer(server, config, { ca });
  const machine = allPlatforms ? undefined : await machineOf(options);
  const trusted = await site.trusted();
  const store = await site.store(dryRun ? 'dry-run' : 'write');
  const signer = await signerFor(options, site);

  const known = createKnownReleases(site, inServer(source));
  const resolved = new Set<string>();
  for (const text of targets) resolved.add(await known.resolve(text));
  const plans = [];
  for (const target of resolved) {
    const plan = await planFetch(target, source, { trusted, machine });
    tellOffers(plan, terminal);
    plans.push(plan);
  }
  let total = 0;
  for (const plan of plans) total += await bytesToFetch(plan, source, store);
  if (total > 0) terminal.tell(`${formatSize(total)} to fetch from ${source.name}`);
  const progress = createProgress(total, { quiet });
  const fetched: Fetched[] = [];
  try {
    for (const plan of plans) {
      const results: FetchResult[] = [];
      fetched.push({ ...plan, results });
      const fetching = fetchPlanned(plan, source, store, {
        ...{ trusted, signer, dryRun },
        onProgress: (_digest, bytes, size) => {
          progress.advance(plan.target, bytes, size);
        },
      });
      for await (const result of fetching) results.push(result);
    }
  } finally {
    progress.clear();
    // What is done is done, even if the disk failed at the next one.
    if (json) printJson('fetch', toJson(fetched), terminal);
    else printFetched(fetched, terminal);
  }
  for (const { target, offers, isOutage } of fetched) {
    if (offers.length > 0 || isOutage) continue;
    for (const url of await known.suggest(target)) terminal.warn(`cache: did you mean ${url} ?`);
  }
  if (signer === undefined) await adviseOnTrust(fetched, site);
  if (fetched.some(({ refusal, results }) => refusal !== undefined || results.some(isRefused)))
    endWith(EXIT.incomplete);
  if (fetched.some(({ isOutage, results }) => isOutage ?? results.some(isNotFetched))) endWith(EXIT.storage);
  await warnOfDoubts(source, terminal);
}

function isRefused({ outcome }: FetchResult): boolean {
  return outcome === 'refused';
}

function isNotFetched({ outcome }: FetchResult): boolean {
  return outcome === 'not-fetched';
}

async function signerFor(
  { resign = false, dryRun = false }: FetchOptions,
  site: Site,
): Promise<Signer | undefined> {
  if (!resign) return undefined;
  // A dry run makes no key.
  return dryRun ? readSigner(site.config.signature) : site.signer();
}

/** Nodes that were set up before there was an upstream don't trust what comes from it. */
async function adviseOnTrust(fetched: readonly Fetched[], site: Site): Promise<void> {
  const own = await site.ownTrusted();
  const isForeign = fetched.some(({ results }) =>
    results.some(({ entry, outcome }) => outcome === 'fetched' && own.signerOf(entry) === undefined),
  );
  if (isForeign) {
    site.messages.tell(
      `cache: nodes need the certificate of the upstream to install this; print their section anew: ${commandOf(site.config, 'slapos-cfg')}; or also sign it here, with --resign`,
    );
  }
}
