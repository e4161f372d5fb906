import { realpath, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { isWithin, realPathOf } from '../is-within.ts';

/** Where disks are mounted: mnt and media of hier(7), /run/media of udisks. */
const MOUNT_FOLDERS = ['/mnt', '/media', '/run/media'];

/** Whether a file system is mounted at exactly this folder. */
export async function isMountPoint(folder: string): Promise<boolean> {
  const path = await realpath(folder);
  const [here, above] = [await stat(path), await stat(dirname(path))];
  return here.dev !== above.dev || here.ino === above.ino;
}

/** Whether a folder is where disks are mounted, and neither it nor a folder above it there has one. */
export async function lacksMount(folder: string): Promise<boolean> {
  const path = await realpath(folder);
  const bases = await Promise.all(MOUNT_FOLDERS.map(realPathOf));
  const base = bases.find((one) => isWithin(path, one));
  if (base === undefined) return false;
  for (let at = path; ; at = dirname(at)) {
    if (await isMountPoint(at)) return false;
    if (at === base || dirname(at) === base) return true;
  }
}
