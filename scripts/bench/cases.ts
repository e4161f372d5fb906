import type { BenchCase } from './bench-case.ts';
import {
  accelRedirect,
  bucketDownload,
  bucketLookups,
  bucketSlowClients,
  localCache,
} from './cases/bucket.ts';
import { https, manyClients, oneClient, oneClientDrain, ranges } from './cases/downloads.ts';
import { imports, importsAgain } from './cases/imports.ts';
import { indexOfStore } from './cases/index-of-store.ts';
import { manyEntries } from './cases/many-entries.ts';
import { pack } from './cases/pack.ts';
import { slowClients } from './cases/slow-clients.ts';
import { head, lookups, notModifiedBlobs, notModifiedLookups } from './cases/small-requests.ts';
import { commandStart } from './cases/start.ts';
import { uploads } from './cases/upload.ts';

/** In the order of the table. */
export const CASES: readonly BenchCase[] = [
  ...[oneClient, oneClientDrain, manyClients, slowClients, ranges, https],
  ...[lookups, head, notModifiedLookups, notModifiedBlobs, manyEntries, indexOfStore],
  ...[bucketDownload, bucketSlowClients, bucketLookups, localCache, accelRedirect],
  ...[uploads, imports, importsAgain, pack, commandStart],
];
