import { readdir } from 'node:fs/promises';
import { createBlobs } from '../cache/blobs.ts';
import { createDirectory } from '../cache/directory.ts';
import { CacheError } from '../cache/errors.ts';
import type { ObjectStorage } from '../cache/object-storage.ts';
import type { Config } from '../config/config.ts';
import { throwUnlessAbsent } from '../storage/storage-error.ts';
import { openCustody, openStore, type Store } from './site.ts';
import type { Terminal } from './terminal/terminal.ts';

/** The store of the configuration, only to be read; an empty one in place of one that writing would make. */
export async function openDryStore(config: Config, terminal: Terminal): Promise<Store> {
  if (!(await isYetToBeMade(config.store.path))) return openStore(config, terminal, { write: false });
  return {
    storage: EMPTY,
    blobs: createBlobs(EMPTY),
    directory: createDirectory(EMPTY),
    custody: openCustody(config),
  };
}

async function isYetToBeMade(path: string): Promise<boolean> {
  try {
    return (await readdir(path)).length === 0;
  } catch (error) {
    throwUnlessAbsent(error, `can't look at ${path}`);
    return true;
  }
}

const EMPTY: ObjectStorage = {
  stat: () => Promise.resolve(undefined),
  open: () => Promise.resolve(undefined),
  create: () => Promise.reject(new CacheError('storage', 'a dry run writes nothing')),
  async *list() {
    // There is nothing.
  },
  remove: () => Promise.resolve(false),
};
