import { join } from 'node:path';
import type { CacheError } from '../cache/errors.ts';
import { quoteForShell } from '../cache/shell.ts';
import type { Config } from '../config/config.ts';
import { commandOf } from '../operations/command-line.ts';
import { isAccessible } from '../operations/files.ts';
import type { MixedFolder } from '../operations/find-archives.ts';

/** Refuses a folder that may be a medium without its manifest, with advice for this site. */
export async function adviseOnMixedFolder(error: MixedFolder, config: Config): Promise<CacheError> {
  const { file, signature } = config;
  const { folder } = error;
  const ownConfig = join(folder, 'config.ini');
  return error.withAdvice([
    `If cache export wrote it, the export did not finish, or the medium was changed; write it again where it was made: cache export ${quoteForShell(folder)}`,
    // Without a configuration, the first import makes a key.
    file === undefined || (await isAccessible(signature.privateKeyFile))
      ? `To import its archives anyway, signed with the key of this site, name their folder: ${commandOf(config, 'import', [join(folder, 'software')])}, or the archives: ${commandOf(config, 'import', [folder])}/*.tar.gz`
      : 'This site has no key to sign archives with: import them where there is one, and export them from there.',
    ...((await isAccessible(ownConfig))
      ? [`It has its own configuration; to use that: -c ${quoteForShell(ownConfig)}`]
      : []),
  ]);
}
