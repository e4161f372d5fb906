import type { Store } from '../../cache/store.ts';
import { DamagedObject } from '../../cache/small-object.ts';
import { diskFinding, type Finding } from './finding.ts';
import { createVerifyState, type VerifyCounts, type VerifyOptions } from './verification.ts';
import { verifyBlobs } from './verify-blobs.ts';
import { verifyEntries } from './verify-entries.ts';
import { verifyOwner } from './verify-owner.ts';
import { verifyFolders } from './verify-folders.ts';

/**
 * Verifies everything in a store, also one in use, and changes nothing. Yields findings at once and returns the
 * counts at the end; needs 16 bytes of memory per blob, and the names of up to `NAMES_LIMIT` blobs.
 * @throws CacheError `storage`: the store is unusable
 */
export async function* verifyStore(
  store: Store,
  options: VerifyOptions,
): AsyncGenerator<Finding, VerifyCounts> {
  const state = createVerifyState();
  yield* verifyFolders(store.upkeep, store.markFault);
  yield* verifyOwner(store.upkeep);
  yield* verifyEntries(store, options, state);
  yield* verifyBlobs(store, options, state);
  yield* verifyLog(store);
  return state.counts;
}

async function* verifyLog({ log }: Store): AsyncGenerator<Finding> {
  for (const path of await log.list()) {
    try {
      await log.read(path);
    } catch (error) {
      if (error instanceof DamagedObject) yield { kind: 'record-damaged', path, problem: error.what };
      else yield diskFinding(error, { path });
    }
  }
}
