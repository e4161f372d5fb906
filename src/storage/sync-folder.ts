import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { systemCode } from '../cache/errors.ts';

/** Makes durable which names stand in a folder. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, constants.O_RDONLY);
  try {
    await folder.sync();
  } catch (error) {
    // FAT and some network file systems can't sync a folder; there is nothing better to do on them.
    if (systemCode(error) !== 'EINVAL' && systemCode(error) !== 'ENOTSUP') throw error;
  } finally {
    await folder.close();
  }
}
