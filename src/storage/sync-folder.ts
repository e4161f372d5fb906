import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { systemCode } from '../cache/errors.ts';

/** Makes the names in a folder durable. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, constants.O_RDONLY);
  try {
    await folder.sync();
  } catch (error) {
    // FAT and some network file systems can't sync a folder.
    if (systemCode(error) !== 'EINVAL' && systemCode(error) !== 'ENOTSUP') throw error;
  } finally {
    await folder.close();
  }
}
