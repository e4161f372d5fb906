import type { Stats } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { CacheError, systemCode } from '../cache/errors.ts';
import { STORE_FILE } from '../cache/layout.ts';
import { isMedium, openMedium, type MediumTarget } from '../operations/medium/open-medium.ts';
import { checkIsNoFile } from '../operations/check-paths.ts';
import { isWithin, realPathOf } from '../operations/is-within.ts';
import type { Site } from '../operations/site.ts';
import { sourceOfStore, type Source } from '../cache/source.ts';
import type { Store } from '../cache/store.ts';
import { throwUnlessAbsent } from '../storage/storage-error.ts';
import { NoStore } from '../storage/store-folder.ts';
import { openServer, type ServerOptions } from './servers.ts';

export interface SourceOptions extends ServerOptions {
  /** Where a medium is to be copied into. */
  readonly into?: MediumTarget | undefined;
}

/**
 * What a person names to read from: the URL of a running cache (`/bcache` and `/bdir` below it), the folder of a store,
 * or a medium. One that `cache export` wrote is read only after its manifest was verified.
 * @param argument that names it, for messages
 * @throws CacheError `usage`, `config`, `storage`; `untrusted`, `invalid-medium`
 */
export async function openSource(
  argument: string,
  text: string,
  site: Site,
  options: SourceOptions = {},
): Promise<Source> {
  if (isUrl(text)) return openServer('URL', text, site.config, options);
  const folder = folderOf(text);
  if (await isMedium(folder)) {
    return (await openMedium(folder, await site.ownTrusted(), options.into)).source;
  }
  await checkIsNoFile(argument, folder);
  await refuseStoreInside(argument, folder);
  if ((await statIfThere(folder)) === undefined)
    throw new CacheError(
      'usage',
      `${argument}: ${text}: no such folder, or its disk is not mounted; name the folder of a store, a medium, or the URL of a running cache`,
    );
  try {
    return sourceOfStore(await site.storeAt(folder, 'read'));
  } catch (error) {
    if (!(error instanceof NoStore)) throw error;
    throw new CacheError(
      'usage',
      `${argument}: ${folder} is neither a store nor a medium; name another one, or is its disk not mounted?`,
      { cause: error },
    );
  }
}

/**
 * A medium that lost its manifest looks like any folder with a store in it. Who has a store in mind names the store.
 * @throws CacheError `invalid-medium`
 */
async function refuseStoreInside(argument: string, folder: string): Promise<void> {
  const store = await storeIn(folder);
  if (store === folder) return;
  throw new CacheError(
    'invalid-medium',
    [
      `${argument}: ${folder} has no manifest.json: nobody has signed for the store on it.`,
      `If it comes from a cache export, that did not finish, or somebody changed it; write it again where it was made: cache export ${folder}`,
      `To read the store all the same, name it: ${store}`,
    ].join('\n'),
  );
}

function folderOf(text: string): string {
  // An empty variable of a script would be the folder that it stands in.
  if (text === '') throw new CacheError('usage', 'an empty name; name a folder or a URL');
  return resolve(text);
}

/**
 * The store in a folder that a person names to write to. It is made where there is none.
 * @param dryRun only reads
 * @throws CacheError `usage`, `config`, `storage`, `no-space`
 */
export async function openTargetStore(text: string, site: Site, dryRun: boolean): Promise<Store> {
  const folder = folderOf(text);
  if (await isMedium(folder)) {
    throw new CacheError(
      'usage',
      `${text} is a medium with a manifest, which would be wrong afterwards; write to it with: cache export ${text}`,
    );
  }
  await checkIsNoFile('TO', folder);
  const location = await storeIn(folder);
  // The store of a configuration is made by cache init alone: its disk may not be mounted.
  if (site.config.file !== undefined && (await realPathOf(location)) === (await realPathOf(site.location)))
    return site.store(dryRun ? 'read' : 'write');
  return site.storeAt(location, dryRun ? 'dry-run' : 'write', true);
}

/** Whether both are one location, as far as their names show. */
export async function isSameLocation(a: string, b: string): Promise<boolean> {
  if (isUrl(a) || isUrl(b)) return isUrl(a) && isUrl(b) && comparableUrl(a) === comparableUrl(b);
  const [one, other] = [await identityOf(resolve(a)), await identityOf(resolve(b))];
  return one !== undefined && one === other;
}

/**
 * A medium in the folder of a store would be a stray there, and the other way round. The store of a medium may well be the
 * one that is exported.
 * @throws CacheError `usage`
 */
export async function refuseNesting(medium: string, store: string): Promise<void> {
  // What isn't there is told by whoever opens it.
  const [outer, inner, own] = await Promise.all(
    [medium, join(medium, 'store'), store].map((path) => realpath(path).catch(() => undefined)),
  );
  if (own === undefined || outer === undefined) return;
  if (isWithin(outer, own))
    throw new CacheError(
      'usage',
      `${medium} is in the folder of the store ${store}, which is exported; name the folder where a medium is mounted`,
    );
  if (inner !== undefined && inner !== own && isWithin(own, inner))
    throw new CacheError(
      'usage',
      `the store ${store}, which is exported, is in the folder ${inner}, which is to be written to; name the folder where a medium is mounted`,
    );
}

/** Without user and password, and with what a URL may leave out. */
function comparableUrl(text: string): string | undefined {
  if (!URL.canParse(text)) return undefined;
  const { origin, pathname } = new URL(text);
  return origin + pathname.replace(/(?<!\/)\/+$/, '');
}

async function identityOf(folder: string): Promise<string | undefined> {
  const stats = await statIfThere(await storeIn(folder));
  return stats && `${stats.dev} ${stats.ino}`;
}

export function isUrl(text: string): boolean {
  return /^https?:/i.test(text);
}

/** The store's folder: the folder itself, or `store` in it if that is a site's or a medium's. */
async function storeIn(folder: string): Promise<string> {
  const inside = join(folder, 'store');
  const isStore = (await statIfThere(join(folder, STORE_FILE))) !== undefined;
  return !isStore && (await statIfThere(inside)) !== undefined ? inside : folder;
}

async function statIfThere(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    // Nor is there anything inside of a file.
    if (systemCode(error) !== 'ENOTDIR') throwUnlessAbsent(error, `can't look at ${path}`);
    return undefined;
  }
}
