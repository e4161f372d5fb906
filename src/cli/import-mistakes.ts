import { stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { CacheError } from '../cache/errors.ts';
import { STORE_FILE } from '../cache/layout.ts';
import type { Config } from '../config/config.ts';
import { commandOf } from '../operations/command-line.ts';
import { STORE_FOLDER } from '../operations/medium/manifest.ts';
import { isMedium } from '../operations/medium/open-medium.ts';
import { locationOf } from '../operations/site.ts';

/** Refuses a folder that another command takes. @throws CacheError `usage`, with that command */
export async function refuseOtherFolder(path: string, config: Config): Promise<void> {
  const folder = resolve(path);
  const [name, parent] = [basename(folder), dirname(folder)];
  if (name === STORE_FOLDER && (await isMedium(parent)))
    throw new CacheError(
      'usage',
      `${path} is the store of a medium; import the medium: ${commandOf(config, 'import', [parent])}`,
    );
  if (folder !== locationOf(config) && (await isFile(join(folder, STORE_FILE))))
    throw new CacheError(
      'usage',
      `${path} is a store, not a medium or archives; copy it: ${commandOf(config, 'sync', [path, locationOf(config)])}`,
    );
  if (/^[0-9a-f]{32}$/.test(name) && (await isFile(join(folder, 'buildout.cfg'))))
    throw new CacheError(
      'usage',
      `${path} is the folder of a compiled release, not an archive; pack and import it: ${commandOf(config, 'pack', [path])}`,
    );
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (stats) => stats.isFile(),
    () => false,
  );
}
