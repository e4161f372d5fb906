import { noneIfDamaged } from '../cache/directory.ts';
import { checkBinding, isSourceEntry } from '../cache/entry.ts';
import { CacheError, isConnectionFault, isStoreFault } from '../cache/errors.ts';
import { isReleaseKey, type Key } from '../cache/key.ts';
import { compatibilityClass, formatPlatform, isCompatible, type Platform } from '../cache/platform.ts';
import type { Signer, TrustedCertificates } from '../cache/signature.ts';
import type { Store } from '../cache/store.ts';
import { findEntries, keysToTry } from './lookup.ts';
import { createPlacement } from './entry-order.ts';
import type { Source, SourceEntry } from '../cache/source.ts';
import { addInPlace, createStoreDestination, recordCopy } from './store-destination.ts';
import { transferEntries, type TransferOptions } from './transfer.ts';

/** An entry of a source, and whether to fetch it. */
export interface Offer {
  readonly entry: SourceEntry;
  /**
   * `older`: nodes take an earlier entry of the same platform. `foreign`: for a platform that was not requested, or
   * an unknown one. Entries of a source are neither: its clients choose by members that are unknown here.
   */
  readonly verdict: 'wanted' | 'older' | 'foreign' | 'refused';
  /** Reason of a refusal. */
  readonly reason?: string;
}

/** The entries that a source has of a URL or key, and which of them to fetch. */
export interface FetchPlan {
  /** The URL or key as given. */
  readonly target: string;
  /** The key that has the entries. */
  readonly key: Key;
  /** In the order in which nodes try them. */
  readonly offers: readonly Offer[];
  /** Reason why no entry is wanted, or known. */
  readonly refusal?: string;
  /** Whether the source failed to answer for it, so that its entries are unknown. */
  readonly isOutage?: boolean;
}

/** Result for one wanted entry. */
export interface FetchResult {
  readonly entry: SourceEntry;
  /**
   * `resigned`: already present, and now also signed by the site. `to-…`: a dry run would do it. `not-fetched`: the source
   * failed, which says nothing about the entry.
   */
  readonly outcome:
    'fetched' | 'resigned' | 'to-fetch' | 'to-resign' | 'unchanged' | 'refused' | 'not-fetched';
  /** Bytes of the blob, if present. */
  readonly size?: number;
  /** Reason of a refusal, or fault of the source. */
  readonly reason?: string;
}

export interface PlanOptions {
  readonly trusted: TrustedCertificates;
  /** The platform to fetch for; undefined: all platforms. */
  readonly machine: Platform | undefined;
}

/**
 * Plans a fetch: of a release, the first entry for each requested platform that a trusted certificate verifies; of a
 * source file, every entry that one verifies. A fault of the source becomes the plan's refusal.
 * @throws CacheError `unavailable`: no connection
 */
export async function planFetch(
  target: string,
  source: Source,
  { trusted, machine }: PlanOptions,
): Promise<FetchPlan> {
  const keys = keysToTry(target);
  let found: Awaited<ReturnType<typeof findEntries>>;
  try {
    found = await findEntries(keys, source);
  } catch (error) {
    const { message, code } = faultOfSource(error);
    // It concerns all targets alike.
    if (isConnectionFault(error)) throw error;
    return { target, key: keys[0], offers: [], refusal: message, isOutage: code === 'unavailable' };
  }
  const { key, entries } = found;
  const reasons = new Map(entries.map((entry) => [entry, faultOf(key, entry, trusted)]));
  const isSource = isOfSource(
    target,
    key,
    entries.filter((entry) => reasons.get(entry) === undefined),
  );
  const groups = new Set<string>();
  const offers = entries.map((entry): Offer => {
    const reason = reasons.get(entry);
    if (reason !== undefined) return { entry, verdict: 'refused', reason };
    if (isSource) return { entry, verdict: 'wanted' };
    const { platform } = entry;
    if (platform === undefined || (machine && !isCompatible(platform, machine)))
      return { entry, verdict: 'foreign' };
    const group = compatibilityClass(platform);
    if (groups.has(group)) return { entry, verdict: 'older' };
    groups.add(group);
    return { entry, verdict: 'wanted' };
  });
  if (offers.some(({ verdict }) => verdict === 'wanted')) return { target, key, offers };
  return { target, key, offers, refusal: refusalOf(keys, offers, source, machine) };
}

/** Whether the entries are of a source. Where a release was named by its URL, no source may stand for it. */
function isOfSource(target: string, key: Key, good: readonly SourceEntry[]): boolean {
  return !isReleaseKey(key) || (target === key && good.every((entry) => isSourceEntry(key, entry)));
}

/** The fault of the source. @throws the error itself if something else failed */
function faultOfSource(error: unknown): CacheError {
  if (!(error instanceof CacheError)) throw error;
  // Only the store can be damaged: other caches answer 500.
  if (isStoreFault(error)) throw error;
  return error;
}

function faultOf(key: Key, entry: SourceEntry, trusted: TrustedCertificates): string | undefined {
  try {
    trusted.verify(entry);
    checkBinding(key, entry);
    return undefined;
  } catch (error) {
    if (!(error instanceof CacheError)) throw error;
    return error.message;
  }
}

function refusalOf(
  keys: readonly Key[],
  offers: readonly Offer[],
  source: Source,
  machine: Platform | undefined,
): string {
  const [first] = offers;
  if (first === undefined) return `${source.name} has nothing under key ${keys.join(' or ')}`;
  const good = offers.filter(({ verdict }) => verdict !== 'refused');
  if (good.length === 0)
    return `${offers.length === 1 ? 'its one entry there can not' : `none of the ${offers.length} entries there can`} be trusted: ${first.reason ?? ''}`;
  const platforms = good.map(({ entry: { platform } }) =>
    platform ? formatPlatform(platform) : 'an unknown one',
  );
  return `there is nothing for ${machine ? formatPlatform(machine) : 'a known platform'}, only for ${[...new Set(platforms)].join(', ')}; choose with --os and --multiarch, or take all with --all-platforms`;
}

export interface FetchOptions {
  readonly trusted: TrustedCertificates;
  /** Adds the site's signature to fetched entries; default: only the source's signatures. */
  readonly signer?: Signer | undefined;
  /** Plans the fetch and writes nothing. */
  readonly dryRun?: boolean;
  /** Receives the bytes of a blob since the last call, and its size if known. */
  readonly onProgress?: NonNullable<TransferOptions['onProgress']>;
}

/**
 * Fetches the entries of a plan: the blob first, then the source's own pair, verbatim.
 * @returns a result for each wanted entry; if the source fails, the rest is not fetched
 * @throws CacheError `storage`, `no-space`: the store failed
 */
export async function* fetchPlanned(
  { key, offers }: FetchPlan,
  source: Source,
  target: Store,
  { signer, ...options }: FetchOptions,
): AsyncGenerator<FetchResult> {
  const wanted = new Set(offers.filter(({ verdict }) => verdict === 'wanted').map(({ entry }) => entry));
  const entries = offers.map(({ entry }) => entry);
  const destination = createStoreDestination(target, () => ({ action: 'fetch' }));
  const transfers = transferEntries(key, entries, source, destination, {
    ...options,
    select: (entry) => wanted.has(entry),
  });
  try {
    for await (const { entry, outcome, reason = '' } of transfers) {
      wanted.delete(entry);
      if (outcome === 'refused') yield { entry, outcome, reason };
      else if (outcome === 'to-copy') yield { entry, outcome: 'to-fetch' };
      else yield await finish(entry, outcome === 'copied');
    }
  } catch (error) {
    const { message: reason } = faultOfSource(error);
    for (const entry of wanted) yield { entry, outcome: 'not-fetched', reason };
  }

  async function finish(entry: SourceEntry, isCopied: boolean): Promise<FetchResult> {
    const size = (await target.blobs.size(entry.sha512)) ?? 0;
    const isSigned = signer !== undefined && (await resign(entry, signer));
    if (isCopied) return { entry, outcome: 'fetched', size };
    return { entry, outcome: !isSigned ? 'unchanged' : options.dryRun ? 'to-resign' : 'resigned', size };
  }

  /** @returns whether the signature is new */
  async function resign(entry: SourceEntry, by: Signer): Promise<boolean> {
    // Signs the same text, so that the source's statements stay unchanged.
    const signed = by.sign(entry.pair[0]);
    if (options.dryRun) return !(await target.directory.digests(key)).includes(signed.digest);
    // Takes the time of the entry it replaces: a millisecond later could collide with the next newer entry.
    const there = await target.directory.entries(key).catch(noneIfDamaged);
    const original = there.find(({ digest }) => digest === entry.digest);
    const placement = createPlacement(there, options.trusted);
    const isNew = await addInPlace(key, signed, original?.received, target, placement);
    if (isNew) await recordCopy(key, signed, source, target, { action: 'fetch' });
    return isNew;
  }
}

/** Bytes that a plan will fetch, as far as the source states sizes; blobs already present don't count. */
export async function bytesToFetch({ offers }: FetchPlan, source: Source, { blobs }: Store): Promise<number> {
  let sum = 0;
  for (const { entry, verdict } of offers) {
    if (verdict !== 'wanted' || (await blobs.size(entry.sha512)) !== undefined) continue;
    try {
      sum += (await source.blobSize(entry.sha512)) ?? 0;
    } catch (error) {
      // The fetch itself reports the fault.
      faultOfSource(error);
    }
  }
  return sum;
}
