import { isDigest } from '../../cache/digest.ts';
import type { CacheError } from '../../cache/errors.ts';
import {
  CUSTODY_FILE,
  IMPORTS,
  LOG,
  PARTS,
  parsePartName,
  parseRecordName,
  SCRUB_FILE,
  STORE_FILE,
} from '../../cache/layout.ts';
import type { StoreUpkeep } from '../../cache/store-upkeep.ts';
import { OWN_NAMES } from '../../storage/store-folder.ts';
import { diskFinding, strayAt, type Finding } from './finding.ts';

const FILES: ReadonlySet<string> = new Set([STORE_FILE, CUSTODY_FILE, SCRUB_FILE]);

/** Finds strays outside the blobs and entries of a store. */
export async function* verifyFolders(
  upkeep: StoreUpkeep,
  markFault: CacheError | undefined,
): AsyncGenerator<Finding> {
  if (markFault !== undefined) yield { kind: 'mark-damaged', path: STORE_FILE, problem: markFault.message };
  yield* straysIn(upkeep, '', (name, type) => {
    if (name !== STORE_FILE && !OWN_NAMES.has(name)) return 'this name does not belong in a store';
    if (type !== (FILES.has(name) ? 'file' : 'folder'))
      return `it is not a ${FILES.has(name) ? 'file' : 'folder'}`;
    return undefined;
  });
  yield* straysIn(upkeep, IMPORTS, (name, type) =>
    isDigest(name) && type === 'file' ? undefined : 'it is not an import record',
  );
  yield* straysIn(upkeep, PARTS, (name, type) =>
    parsePartName(PARTS + name) !== undefined && type === 'file' ? undefined : 'it is not part of a blob',
  );
  yield* straysIn(upkeep, LOG, (name, type) =>
    parseRecordName(LOG + name) !== undefined && type === 'file' ? undefined : 'it is not a log record',
  );
  for await (const path of upkeep.leftovers())
    yield {
      kind: 'leftover',
      path,
      problem: 'a killed writer left it; the next writer removes it',
    };
}

/** @param folder `''`, or ends in `/` */
async function* straysIn(
  upkeep: StoreUpkeep,
  folder: string,
  problemOf: (name: string, type: 'file' | 'folder' | 'other') => string | undefined,
): AsyncGenerator<Finding> {
  try {
    for await (const { name, type } of upkeep.list(folder.replace(/\/$/, ''))) {
      const problem = problemOf(name, type);
      if (problem !== undefined) yield strayAt(folder + name, problem);
    }
  } catch (error) {
    yield diskFinding(error, { path: folder });
  }
}
