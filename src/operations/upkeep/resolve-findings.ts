import { withStorage, type Store } from '../../cache/store.ts';
import type { LogEvent } from '../../cache/store-log.ts';
import { CacheError, isDamage, isUndecodable, StoreUnavailable, UNDECODABLE } from '../../cache/errors.ts';
import { BLOBS, STORE_FILE, STORE_FORMAT } from '../../cache/layout.ts';
import type { ObjectStorage } from '../../cache/object-storage.ts';
import { writeSmallObject } from '../../cache/small-object.ts';
import type { Source } from '../../cache/source.ts';
import type { Finding } from './finding.ts';
import { healFrom, type HealOptions } from './heal.ts';
import { createHealingStorage, type HealingStorage } from './healing-storage.ts';
import { createPace } from './pace.ts';
import { verifyBytes } from './verify-blobs.ts';

export interface ResolveOptions extends HealOptions {
  /** Whether to quarantine bad objects that no source can replace. */
  readonly repair: boolean;
  /** Sources of good copies, in order of preference. */
  readonly sources: readonly Source[];
}

/** The result for one finding. */
export type Resolution =
  /** Replaced with a good copy. */
  | { readonly outcome: 'healed'; readonly source?: string; readonly quarantined?: string | undefined }
  | { readonly outcome: 'quarantined'; readonly quarantined: string }
  /** A leftover, removed. */
  | { readonly outcome: 'removed' }
  /** No longer there, or sound now: another process acted first, or the fault has passed. */
  | { readonly outcome: 'gone' }
  /** Each asked source, and why it could not help. */
  | { readonly outcome: 'left'; readonly reasons: readonly string[] };

const NOT_HEALED: Resolution = { outcome: 'left', reasons: [] };

/**
 * Resolves findings one after the other, also in a store in use: a good copy replaces a bad one in one step. Replaced
 * and moved objects are kept in quarantine, by a path relative to the store.
 * @throws CacheError `no-space`, `storage`
 */
export function createResolver(
  store: Store,
  options: ResolveOptions,
): (finding: Finding) => Promise<Resolution> {
  const { log, upkeep } = store;
  const { quarantine } = upkeep;
  const { repair, sources } = options;
  const kept = new Map<string, string>();
  const healing = (storage: ObjectStorage): HealingStorage =>
    createHealingStorage(storage, quarantine, (name, place) => kept.set(name, place));
  const storage = healing(store.storage);
  const records = healing(store.records);
  const target = { ...withStorage(store, storage), storage };
  const unreachable = new Map<Source, string>();

  const heal = async (finding: Finding): Promise<Resolution> => {
    const reasons: string[] = [];
    for (const source of sources) {
      try {
        const known = unreachable.get(source);
        if (known !== undefined) throw new CacheError('unavailable', known);
        await healFrom(source, finding, target, kept, options);
        return { outcome: 'healed', source: source.name, quarantined: kept.get(finding.path) };
      } catch (error) {
        if (!(error instanceof CacheError) || error.code === 'no-space') throw error;
        if (error instanceof StoreUnavailable && error.store === store.name) throw error;
        // Asks an unreachable source only once, because each attempt waits for its timeout.
        if (error.code === 'unavailable') unreachable.set(source, error.message);
        reasons.push(`${source.name}: ${error.message}`);
      }
    }
    return { outcome: 'left', reasons };
  };

  const moveToQuarantine = async (finding: Finding): Promise<Resolution> => {
    if (isUndecodable(finding.path)) return { outcome: 'left', reasons: [UNDECODABLE] };
    // Verifies again, so that nothing sound is quarantined: a fault may have passed, or a good copy may have come.
    // The time check covers the minutes that verifying a large blob takes.
    const before = await modifiedOf(finding, store);
    if (!(await isStillBad(finding, store))) return { outcome: 'gone' };
    if ((await modifiedOf(finding, store)) !== before) return { outcome: 'gone' };
    const quarantined = await quarantine.move(finding.path);
    if (quarantined === undefined) return { outcome: 'gone' };
    await log.record({ ...eventOf(finding), action: 'repair', target: quarantined });
    return { outcome: 'quarantined', quarantined };
  };

  const restoreMark = async (finding: Finding): Promise<Resolution> => {
    records.condemn(STORE_FILE);
    await writeSmallObject(records, STORE_FILE, JSON.stringify({ format: STORE_FORMAT }));
    const quarantined = kept.get(STORE_FILE);
    await log.record({ ...eventOf(finding), action: 'repair', target: quarantined });
    return { outcome: 'healed', quarantined };
  };

  /** Removes it, as gc does: in quarantine it would occupy its space forever. */
  const removeLeftover = async ({ path }: Finding): Promise<Resolution> => {
    await store.upkeep.removeLeftover(path);
    return { outcome: 'removed' };
  };

  return async (finding) => {
    if (finding.kind === 'mark-damaged') return repair ? restoreMark(finding) : NOT_HEALED;
    if (finding.kind === 'leftover') return repair ? removeLeftover(finding) : NOT_HEALED;
    const resolution = isHealable(finding) ? await heal(finding) : NOT_HEALED;
    return repair && resolution.outcome === 'left' && isMovable(finding)
      ? moveToQuarantine(finding)
      : resolution;
  };
}

function isHealable({ kind, entry, sha512 }: Finding): boolean {
  return (
    kind === 'entry-damaged' ||
    kind === 'blob-damaged' ||
    kind === 'blob-missing' ||
    (kind === 'unreadable' && (entry ?? sha512) !== undefined)
  );
}

function isMovable(finding: Finding): boolean {
  return (
    finding.kind === 'stray' ||
    finding.kind === 'record-damaged' ||
    (finding.kind !== 'blob-missing' && isHealable(finding))
  );
}

/** Modification time of a blob; undefined for other findings, and if the disk doesn't report it. */
async function modifiedOf({ path, sha512 }: Finding, { blobs }: Store): Promise<number | undefined> {
  if (!path.startsWith(BLOBS) || sha512 === undefined) return undefined;
  const stat = await blobs.stat(sha512).catch((error: unknown) => {
    if (!(error instanceof CacheError)) throw error;
    return undefined;
  });
  return stat?.modified;
}

async function isStillBad(
  { path, key, entry, sha512 }: Finding,
  { blobs, directory }: Store,
): Promise<boolean> {
  try {
    if (path.startsWith(BLOBS)) {
      const object = sha512 === undefined ? undefined : await blobs.open(sha512);
      return (
        sha512 === undefined ||
        object === undefined ||
        (await verifyBytes(sha512, object, createPace())) !== undefined
      );
    }
    return key === undefined || entry === undefined || (await directory.entry(key, entry)) === undefined;
  } catch (error) {
    // Any other fault says nothing about the object.
    if (!isDamage(error)) throw error;
    return true;
  }
}

/** The log event for a finding. */
function eventOf({ problem, key, entry, sha512, softwareUrl, path }: Finding): Omit<LogEvent, 'action'> {
  return { key, entry, sha512, softwareUrl, reason: `${path}: ${problem}` };
}
