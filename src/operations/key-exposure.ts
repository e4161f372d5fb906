import { stat } from 'node:fs/promises';
import { mountedType } from '../storage/file-system-limits.ts';

/** File systems without permissions: all files have those of the mount. */
const WITHOUT_PERMISSIONS = /fat|ntfs|msdos|^fuse(blk)?$/i;

/**
 * A warning with a remedy if others than its owner may use a private key; undefined if not.
 * @param file an existing file
 */
async function exposureOf(file: string): Promise<string | undefined> {
  const { mode } = await stat(file);
  if ((mode & 0o077) === 0) return undefined;
  const shown = `0${(mode & 0o777).toString(8)}`;
  const fault = `${file}: users other than its owner may use this key (mode ${shown}), which decides what nodes run as root`;
  const type = await mountedType(file);
  return WITHOUT_PERMISSIONS.test(type)
    ? `${fault}; its file system (${type}) keeps no permissions: mount it with -o umask=077, or keep the key on another disk`
    : `${fault}: chmod 600 '${file}'`;
}

/** Warns of a private key that others may use, on each use of the key. */
export async function warnOfExposure(
  privateKeyFile: string,
  messages: { warn(text: string): void },
): Promise<void> {
  const exposure = await exposureOf(privateKeyFile);
  if (exposure !== undefined) messages.warn(`cache: ${exposure}`);
}
