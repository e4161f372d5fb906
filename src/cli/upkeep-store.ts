import { createBlobs } from '../cache/blobs.ts';
import { createDirectory } from '../cache/directory.ts';
import type { CacheError } from '../cache/errors.ts';
import { keyOfFileUrl, keyOfSoftwareUrl, type Key } from '../cache/key.ts';
import type { StoreUpkeep } from '../cache/store-upkeep.ts';
import type { Config } from '../config/config.ts';
import { openStorageForUpkeep } from '../storage/filesystem.ts';
import { createStoreUpkeep } from '../storage/store-upkeep.ts';
import { checkStorePath } from './named-path.ts';
import { openCommandCustody, tellOwnerFault, type Store } from './site.ts';
import type { Terminal } from './terminal/terminal.ts';

/** A store as it is found, for whoever looks after it. */
export interface UpkeepStore extends Store {
  readonly upkeep: StoreUpkeep;
  /** What is wrong with `store.json`. */
  readonly markFault: CacheError | undefined;
}

/** Nothing is made or tidied up by opening it. @throws CacheError `storage`, `config` */
export async function openStoreForUpkeep(config: Config, terminal: Terminal): Promise<UpkeepStore> {
  await checkStorePath(config);
  const { path } = config.store;
  const { minFreeSpace } = config.upload;
  const { storage, markFault } = await openStorageForUpkeep(path, {
    minFreeSpace,
    onOwnerFault: tellOwnerFault(path, terminal),
  });
  return {
    ...{ storage, markFault },
    blobs: createBlobs(storage),
    directory: createDirectory(storage),
    custody: openCommandCustody(storage, terminal),
    upkeep: createStoreUpkeep(path),
  };
}

/** The keys of what `[pin]` names, by the name that it has there. */
export function pinnedKeys({ pin }: Config): ReadonlyMap<Key, string> {
  // A URL may be that of a source, too.
  return new Map(
    [...pin].flatMap(([name, url]) => [keyOfSoftwareUrl(url), keyOfFileUrl(url)].map((key) => [key, name])),
  );
}
