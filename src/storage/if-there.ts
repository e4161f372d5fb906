import type { Stats } from 'node:fs';
import { lstat, unlink } from 'node:fs/promises';
import { systemCode } from '../cache/errors.ts';

/** The file at `path` itself, also if it is a link; undefined if it is missing. */
export function lstatIfThere(path: string): Promise<Stats | undefined> {
  return ifThere(() => lstat(path));
}

/** @returns false if another process has removed it */
export async function unlinkIfThere(path: string): Promise<boolean> {
  return (await ifThere(() => unlink(path).then(() => true))) ?? false;
}

async function ifThere<Result>(act: () => Promise<Result>): Promise<Result | undefined> {
  try {
    return await act();
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
    return undefined;
  }
}
