import { quoteBriefly } from '../cache/digest.ts';
import { CacheError } from '../cache/errors.ts';
import { sizeOfName } from './member-name.ts';

/** Bytes of a path: Linux takes no longer one (PATH_MAX without its NUL). */
export const PATH_LIMIT = 4095;

/**
 * The components of a path as recorded in a tar; `.` and repeated slashes, as `tar -C ROOT ./FOLDER` leaves them, go.
 * @param whose what has that path, for the message
 * @throws CacheError `invalid-archive` when a node can't unpack to it, or must not
 */
export function checkPath(path: string, whose: string): readonly string[] {
  if (path === '' || path.includes('\0'))
    throw refused(`${whose} ${quoteBriefly(path)} can't be unpacked: its name is empty or holds a NUL`);
  checkLength(path, whose);
  if (path.startsWith('/')) throw refused(`${whose} ${quoteBriefly(path)} has an absolute name`);
  const components = path.split('/').filter((component) => component !== '' && component !== '.');
  if (components.includes('..')) throw refused(`${whose} ${quoteBriefly(path)} leads out with ".."`);
  return components;
}

/** @throws CacheError `invalid-archive` for a path that is longer than Linux takes */
export function checkLength(path: string, whose: string): void {
  const size = sizeOfName(path);
  if (size <= PATH_LIMIT) return;
  throw refused(
    `${whose} ${quoteBriefly(path)} can't be unpacked: it has ${size} bytes, Linux takes ${PATH_LIMIT}`,
  );
}

/** Whether a path can only be that of a folder: it ends with `/`, or with `.`. */
export function isFolderName(path: string): boolean {
  return /(^|\/)\.?$/.test(path);
}

function refused(message: string): CacheError {
  return new CacheError('invalid-archive', message);
}
