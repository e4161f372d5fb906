import type { CustodyLog } from '../../cache/custody.ts';
import { DamagedObject } from '../../cache/small-object.ts';
import { diskFinding, type Finding } from './finding.ts';
import {
  createVerifyState,
  type StoreToVerify,
  type VerifyCounts,
  type VerifyOptions,
} from './verification.ts';
import { verifyBlobs } from './verify-blobs.ts';
import { verifyEntries } from './verify-entries.ts';
import { verifyOwner } from './verify-owner.ts';
import { verifyFolders } from './verify-folders.ts';

/**
 * Looks at everything in a store, and changes nothing. What it finds comes at once; what it has seen, when it is done.
 * The store may be in use: what comes and goes meanwhile is no finding. Memory is needed for 16 bytes a blob.
 * @throws CacheError `storage`: the store can't be used at all
 */
export async function* verifyStore(
  store: StoreToVerify,
  options: VerifyOptions,
): AsyncGenerator<Finding, VerifyCounts> {
  const state = createVerifyState();
  yield* verifyFolders(store.upkeep, store.markFault);
  yield* verifyOwner(store.upkeep);
  yield* verifyEntries(store, options, state);
  yield* verifyBlobs(store, options, state);
  yield* verifyCustody(store.custody);
  return state.counts;
}

async function* verifyCustody(custody: Pick<CustodyLog, 'list' | 'read'>): AsyncGenerator<Finding> {
  for (const path of await custody.list()) {
    try {
      await custody.read(path);
    } catch (error) {
      if (error instanceof DamagedObject) yield { kind: 'record-damaged', path, problem: error.what };
      else yield diskFinding(error, { path });
    }
  }
}
