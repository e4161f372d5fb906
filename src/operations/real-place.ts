import { realpath } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { systemCode } from '../cache/errors.ts';

/** Where something is, or would be made, when all symbolic links are followed. */
export async function realPlaceOf(path: string): Promise<string> {
  const whole = resolve(path);
  try {
    return await realpath(whole);
  } catch (error) {
    // What stands in the way is told by whoever uses the path.
    if (systemCode(error) !== 'ENOENT' || dirname(whole) === whole) return whole;
    return join(await realPlaceOf(dirname(whole)), basename(whole));
  }
}

/** Whether a place is a folder or in it; both as `realPlaceOf` tells them. */
export function isWithin(place: string, folder: string): boolean {
  return !/^\.\.(\/|$)/.test(relative(folder, place));
}
