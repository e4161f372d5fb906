import { join } from 'node:path';
import { throwUnlessOfData } from '../../cache/errors.ts';
import type { ObjectStorage } from '../../cache/object-storage.ts';
import type { MediumFile } from './manifest.ts';
import { digestObject } from './object-digest.ts';
import { dropFromPageCache } from './page-cache.ts';

/** Result of reading back one object. */
export interface ReadBack {
  readonly name: string;
  /** undefined if it can't be read. */
  readonly found: MediumFile | undefined;
  /** Reason why it can't be read. */
  readonly fault: string | undefined;
  /** Whether it was read from the disk, as far as this can be ensured, or else from memory. */
  readonly fromDisk: boolean;
}

/** Message for a machine that can't drop its page cache. */
export const FROM_MEMORY =
  'note: dd of coreutils is missing: what was read back may have come from memory, not from the disk';

/** Files dropped from the page cache at once: few enough that they are read before they are cached again. */
const BATCH = 64;

/** Reads files of a medium from the disk, not the page cache. @param folder that contains `names` */
export async function* readBack(
  folder: string,
  storage: Pick<ObjectStorage, 'open'>,
  names: readonly string[],
  onProgress: (label: string, bytes: number) => void,
): AsyncGenerator<ReadBack> {
  for (let start = 0; start < names.length; start += BATCH) {
    const batch = names.slice(start, start + BATCH);
    const fromDisk = await dropFromPageCache(batch.map((name) => join(folder, name)));
    for (const name of batch) yield { name, fromDisk, ...(await read(storage, name, onProgress)) };
  }
}

async function read(
  storage: Pick<ObjectStorage, 'open'>,
  name: string,
  onProgress: (label: string, bytes: number) => void,
): Promise<Pick<ReadBack, 'found' | 'fault'>> {
  try {
    const found = await digestObject(storage, name, (bytes) => {
      onProgress(name, bytes);
    });
    return { found, fault: found === undefined ? 'missing' : undefined };
  } catch (error) {
    throwUnlessOfData(error);
    return { found: undefined, fault: error.message };
  }
}
