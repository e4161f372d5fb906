import { access } from 'node:fs/promises';
import { join, relative, resolve } from 'node:path';
import { CacheError } from '../cache/errors.ts';
import { STORE_FILE } from '../cache/layout.ts';
import type { Config } from '../config/config.ts';
import { isMedium } from '../operations/medium/open-medium.ts';

/**
 * Who takes the manifest off a medium, and puts an archive on it, must not have this site sign that: the same command
 * that verifies a medium would import the archive. So a folder that looks like a medium of others is none without its
 * manifest; its archives are imported by whoever names their folder.
 * @throws CacheError `invalid-medium`
 */
export async function refuseUnsignedMedium(path: string, config: Config): Promise<void> {
  const folder = resolve(path);
  if (isOwn(folder, config) || (await isMedium(folder))) return;
  // A site that trusts nobody but itself gets no media; what comes to it are archives.
  const mayComeExported = config.signature.trustedCertificates.length > 0;
  const hasStore = await isThere(join(folder, 'store', STORE_FILE));
  if (!hasStore && !(mayComeExported && (await isThere(join(folder, 'software'))))) return;
  const ownConfig = join(folder, 'config.ini');
  const hasKey = await isThere(config.signature.privateKeyFile);
  const lines = [
    `${folder} has no manifest.json: nobody has signed for what is on it${hasKey ? ', and this site would sign the archives there with its own key' : ''}.`,
    `If it comes from a cache export, that did not finish, or somebody changed it; write it again where it was made: cache export ${folder}`,
    hasKey
      ? `To import its archives all the same, name their folder: cache import ${join(folder, 'software')}`
      : 'This site has no key to sign archives with: import those where there is one, and export them from there.',
    ...((await isThere(ownConfig))
      ? [`It has a configuration of its own; to use that: -c ${ownConfig}`]
      : []),
  ];
  throw new CacheError('invalid-medium', lines.join('\n'));
}

/** Whether it is the folder of this site: one that holds its configuration or its store. */
function isOwn(folder: string, { file, store }: Config): boolean {
  return [file, store.path].some((path) => path !== undefined && isInside(resolve(path), folder));
}

function isInside(path: string, folder: string): boolean {
  const way = relative(folder, path);
  return way !== '' && !way.startsWith('..');
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
