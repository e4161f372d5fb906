import { realpath } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { systemCode } from '../cache/errors.ts';

/** The path of an existing or future file, without symbolic links. */
export async function realPathOf(path: string): Promise<string> {
  const whole = resolve(path);
  try {
    return await realpath(whole);
  } catch (error) {
    // The later use of the path reports the obstacle.
    if (systemCode(error) !== 'ENOENT' || dirname(whole) === whole) return whole;
    return join(await realPathOf(dirname(whole)), basename(whole));
  }
}

/** Whether a path is a folder or inside it; both as `realPathOf` returns them. */
export function isWithin(path: string, folder: string): boolean {
  return !/^\.\.(\/|$)/.test(relative(folder, path));
}
