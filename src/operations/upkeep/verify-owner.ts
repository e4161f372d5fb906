import { BLOBS, DIRECTORY, EXPORTS, IMPORTS, LOG, PARTS, STORE_FILE, TRIPS } from '../../cache/layout.ts';
import type { StoreUpkeep } from '../../cache/store-upkeep.ts';
import { OWN_NAMES } from '../../storage/store-folder.ts';
import { diskFinding, type Finding } from './finding.ts';

/** The store's own folder, and those of objects; each folder in these holds objects, too. */
const FOLDERS = ['', BLOBS, DIRECTORY, IMPORTS, PARTS, EXPORTS, TRIPS, LOG];

/** Looks for what root, or somebody else, wrote into the store, and its owner can't use: a server then answers 500. */
export async function* verifyOwner(upkeep: StoreUpkeep): AsyncGenerator<Finding> {
  for (const folder of FOLDERS) yield* faultsIn(upkeep, folder, folder !== '');
}

/** @param folder `''`, or ends in `/` */
async function* faultsIn(upkeep: StoreUpkeep, folder: string, isDeep: boolean): AsyncGenerator<Finding> {
  try {
    for await (const { name, type } of upkeep.list(folder.replace(/\/$/, ''))) {
      // A new file system has a lost+found, which is root's. What has no business there is a stray.
      if (folder === '' && !(name === STORE_FILE || (OWN_NAMES.has(name) && name !== 'lost+found'))) continue;
      const path = folder + name;
      const problem = await upkeep.ownerFault(path);
      if (problem !== undefined) yield { kind: 'owner-forbidden', path, problem };
      if (isDeep && type === 'folder') yield* faultsIn(upkeep, `${path}/`, false);
    }
  } catch (error) {
    // What whoever asks may not read is found by who reads it.
    diskFinding(error, { path: folder });
  }
}
