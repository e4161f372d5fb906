import { access } from 'node:fs/promises';
import { join } from 'node:path';
import type { CacheError } from '../cache/errors.ts';
import type { Config } from '../config/config.ts';
import type { MixedFolder } from '../operations/find-archives.ts';

/** The refusal of a folder that may be a medium without its manifest, with what to do about it on this site. */
export async function adviseOnMixedFolder(
  error: MixedFolder,
  { file, signature }: Config,
): Promise<CacheError> {
  const { folder } = error;
  const ownConfig = join(folder, 'config.ini');
  return error.withAdvice([
    `If it comes from a cache export, that did not finish, or somebody changed it; write it again where it was made: cache export ${folder}`,
    // Without a configuration a key is made when it is needed.
    file === undefined || (await isThere(signature.privateKeyFile))
      ? `To import its archives all the same, name their folder: cache import ${join(folder, 'software')}, or the archives: cache import ${join(folder, '*.tar.gz')}. They are signed with the key of this site then`
      : 'This site has no key to sign archives with: import those where there is one, and export them from there.',
    ...((await isThere(ownConfig))
      ? [`It has a configuration of its own; to use that: -c ${ownConfig}`]
      : []),
  ]);
}

/** What can't be looked at is told by whoever reads it. */
async function isThere(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch {
    return false;
  }
}
