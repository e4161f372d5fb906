import { checkCustody } from '../../cache/custody-chain.ts';
import type { CustodyLog } from '../../cache/custody.ts';
import { CacheError } from '../../cache/errors.ts';
import { CUSTODY_FILE } from '../../cache/layout.ts';
import type { Finding } from './finding.ts';
import {
  createVerifyState,
  type StoreToVerify,
  type VerifyCounts,
  type VerifyOptions,
} from './verification.ts';
import { verifyBlobs } from './verify-blobs.ts';
import { verifyEntries } from './verify-entries.ts';
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
  yield* verifyEntries(store, options, state);
  yield* verifyBlobs(store, options, state);
  yield* verifyCustody(store.custody);
  return state.counts;
}

/** A line that an interrupted writer left is none: what was reported as recorded is all there. */
async function* verifyCustody(custody: Pick<CustodyLog, 'lines'>): AsyncGenerator<Finding> {
  try {
    for await (const { finding } of checkCustody(custody.lines())) {
      if (finding?.kind === 'broken')
        yield { kind: 'custody-broken', path: CUSTODY_FILE, problem: finding.message };
    }
  } catch (error) {
    if (!(error instanceof CacheError)) throw error;
    yield { kind: 'custody-broken', path: CUSTODY_FILE, problem: error.message };
  }
}
