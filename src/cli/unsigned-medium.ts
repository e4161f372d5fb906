import { dirname, join } from 'node:path';
import type { CacheError } from '../cache/errors.ts';
import { quoteForShell } from '../cache/shell.ts';
import type { Config } from '../config/config.ts';
import { commandOf } from '../operations/command-line.ts';
import { isAccessible } from '../operations/files.ts';
import type { MixedFolder } from '../operations/find-archives.ts';

/** Refuses a folder that may be a medium without its manifest, with advice for this site. */
export async function adviseOnMixedFolder(error: MixedFolder, config: Config): Promise<CacheError> {
  const { folder } = error;
  const ownConfig = join(folder, 'config.ini');
  return error.withAdvice([
    `If cache export wrote it, the export did not finish, or the medium was changed; write it again where it was made: cache export ${quoteForShell(folder)}`,
    ...(await adviseOnArchives(error, config)),
    ...((await isAccessible(ownConfig))
      ? [`It has its own configuration; to use that: -c ${quoteForShell(ownConfig)}`]
      : []),
  ]);
}

/** How to import the archives, if there are any. */
async function adviseOnArchives(
  { folder, archives }: MixedFolder,
  config: Config,
): Promise<readonly string[]> {
  if (archives.length === 0) return [];
  // Without a configuration, the first import makes a key.
  if (config.file !== undefined && !(await isAccessible(config.signature.privateKeyFile)))
    return [
      'This site has no key to sign archives with: import them where there is one, and export them from there.',
    ];
  const beside = archives.filter((path) => dirname(path) === folder);
  const software = beside.length < archives.length ? [join(folder, 'software')] : [];
  const patterns = beside.map((path) => `${quoteForShell(folder)}/*${/(?:\.tar)?\.\w+$/.exec(path)?.[0]}`);
  const command = [commandOf(config, 'import', software), ...new Set(patterns)].join(' ');
  return [`To import its archives anyway, signed with the key of this site: ${command}`];
}
