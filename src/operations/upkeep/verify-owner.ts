import { BLOBS, DIRECTORY, EXPORTS, IMPORTS, LOG, PARTS, STORE_FILE, TRIPS } from '../../cache/layout.ts';
import type { StoreUpkeep } from '../../cache/store-upkeep.ts';
import { OWN_NAMES } from '../../storage/store-folder.ts';
import { diskFinding, type Finding } from './finding.ts';

/** The store's own folder and those of objects; each subfolder of these holds objects, too. */
const FOLDERS = ['', BLOBS, DIRECTORY, IMPORTS, PARTS, EXPORTS, TRIPS, LOG];

/**
 * Finds files in the store that its owner can't use, for example because root wrote them: a server then answers 500.
 */
export async function* verifyOwner(upkeep: StoreUpkeep): AsyncGenerator<Finding> {
  for (const folder of FOLDERS) yield* faultsIn(upkeep, folder, folder !== '');
}

/** @param folder `''`, or ends in `/` */
async function* faultsIn(upkeep: StoreUpkeep, folder: string, isDeep: boolean): AsyncGenerator<Finding> {
  try {
    for await (const { name, type } of upkeep.list(folder.replace(/\/$/, ''))) {
      // A new file system has a lost+found of root's. Other foreign names are reported as strays.
      if (folder === '' && !(name === STORE_FILE || (OWN_NAMES.has(name) && name !== 'lost+found'))) continue;
      const path = folder + name;
      const problem = await upkeep.ownerFault(path);
      if (problem !== undefined) yield { kind: 'owner-forbidden', path, problem };
      if (isDeep && type === 'folder') yield* faultsIn(upkeep, `${path}/`, false);
    }
  } catch (error) {
    // The pass that reads a path reports what the caller may not read.
    diskFinding(error, { path: folder });
  }
}
