import { quoteBriefly } from '../cache/digest.ts';
import { CacheError } from '../cache/errors.ts';
import { sizeOfName } from './member-name.ts';

/** Bytes of the longest path of Linux (PATH_MAX without its NUL). */
export const PATH_LIMIT = 4095;

/**
 * The components of a path in a tar, without `.` and repeated slashes, which `tar -C ROOT ./FOLDER` leaves.
 * @param whose the member or link, for the message
 * @throws CacheError `invalid-archive` when a node can't or must not unpack it
 */
export function checkPath(path: string, whose: string): readonly string[] {
  if (path === '' || path.includes('\0'))
    throw refused(`${whose} ${quoteBriefly(path)} can't be unpacked: its name is empty or holds a NUL`);
  checkLength(path, whose);
  if (path.startsWith('/')) throw refused(`${whose} ${quoteBriefly(path)} has an absolute path`);
  const components = path.split('/').filter((component) => component !== '' && component !== '.');
  if (components.includes('..')) throw refused(`${whose} ${quoteBriefly(path)} leads out with ".."`);
  return components;
}

/** @throws CacheError `invalid-archive` for a path that is too long for Linux */
export function checkLength(path: string, whose: string): void {
  const size = sizeOfName(path);
  if (size <= PATH_LIMIT) return;
  throw refused(
    `${whose} ${quoteBriefly(path)} can't be unpacked: its path has ${size} bytes, the limit of Linux is ${PATH_LIMIT}`,
  );
}

/** Whether only a folder can have this path: it ends with `/` or `.`. */
export function isFolderName(path: string): boolean {
  return /(^|\/)\.?$/.test(path);
}

function refused(message: string): CacheError {
  return new CacheError('invalid-archive', message);
}
