import type { Stats } from 'node:fs';
import { realpath, stat } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { formatBucketUrl, isBucketUrl, parseBucketUrl } from '../cache/bucket-url.ts';
import { CacheError, systemCode } from '../cache/errors.ts';
import { STORE_FILE } from '../cache/layout.ts';
import { quoteForShell } from '../cache/shell.ts';
import { STORE_FOLDER } from '../operations/medium/manifest.ts';
import { isMedium, openMedium, type MediumTarget } from '../operations/medium/open-medium.ts';
import { checkIsNoFile } from '../operations/check-paths.ts';
import { commandOf } from '../operations/command-line.ts';
import { isAccessible } from '../operations/files.ts';
import { isWithin, realPathOf } from '../operations/is-within.ts';
import type { Site } from '../operations/site.ts';
import { sourceOfStore, type Source } from '../cache/source.ts';
import type { Store } from '../cache/store.ts';
import { throwUnlessAbsent } from '../storage/storage-error.ts';
import { NoStore } from '../storage/store-folder.ts';
import type { UpstreamUrls } from '../upstream/client.ts';
import { parseOption } from './parse-option.ts';
import { isServer, openServer, urlsOfServer, type ServerOptions } from './servers.ts';

export interface SourceOptions extends ServerOptions {
  /** The URL of the directory, where `text` is that of the blobs, and the option that gives it. */
  readonly directory?: DirectoryOption | undefined;
  /** Where a medium is to be copied into. */
  readonly into?: MediumTarget | undefined;
}

export interface DirectoryOption {
  readonly option: string;
  readonly url: string | undefined;
}

/**
 * The URLs of a place that is a running cache; undefined for a folder.
 * @param argument that names it, for messages
 * @throws CacheError `usage`, `config`
 */
export function urlsOfPlace(
  argument: string,
  text: string,
  { config }: Pick<Site, 'config'>,
  { option, url: directory }: DirectoryOption = { option: '', url: undefined },
): UpstreamUrls | undefined {
  if (isServer(text))
    return urlsOfServer({ option: 'URL', url: text, directoryOption: option, directory }, config);
  if (directory === undefined) return undefined;
  throw new CacheError('usage', `${option}: ${argument} is no URL; name the URL of the blobs there`);
}

/**
 * What a person names to read from: a running cache (see `urlsOfPlace`), the folder or bucket of a store, or a medium. One that `cache export` wrote is read only after its manifest was verified.
 * @param argument that names it, for messages
 * @throws CacheError `usage`, `config`, `storage`; `untrusted`, `invalid-medium`
 */
export async function openSource(
  argument: string,
  text: string,
  site: Site,
  options: SourceOptions = {},
): Promise<Source> {
  const urls = urlsOfPlace(argument, text, site, options.directory);
  if (urls !== undefined) return openServer(urls, site.config, options);
  if (isBucketUrl(text)) return sourceOfStore(await site.storeAt(bucketOf(argument, text), 'read'));
  const folder = folderOf(text);
  const medium = await mediumAt(folder);
  if (medium !== undefined) return (await openMedium(medium, await site.ownTrusted(), options.into)).source;
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
      `${argument}: ${folder} is neither a store nor a medium (is its disk mounted?); name another folder`,
      { cause: error },
    );
  }
}

/**
 * The medium in a folder, or whose store the folder is. A site may have exported to the disk that its own store is on: that
 * store is no medium's.
 */
async function mediumAt(folder: string): Promise<string | undefined> {
  if (await isMedium(folder)) return folder;
  const store = await realPathOf(folder);
  const around = dirname(store);
  const isInMedium = basename(store) === STORE_FOLDER && (await isMedium(around)) && !(await isSite(around));
  return isInMedium ? around : undefined;
}

/**
 * Refuses a folder with a store in it, because a medium that lost its manifest looks the same.
 * @throws CacheError `invalid-medium`
 */
async function refuseStoreInside(argument: string, folder: string): Promise<void> {
  const store = await storeIn(folder);
  if (store === folder) return;
  if (await isSite(folder))
    throw new CacheError('usage', `${argument}: ${folder} is the folder of a site; name its store: ${store}`);
  throw new CacheError(
    'invalid-medium',
    [
      `${argument}: ${folder} has no manifest.json: the store on it is unsigned.`,
      `If cache export wrote it, the export did not finish, or the medium was changed; write it again where it was made: cache export ${quoteForShell(folder)}`,
      `To read the unsigned store anyway, name it: ${store}`,
    ].join('\n'),
  );
}

/** Whether `cache init` made a folder: an export leaves a certificate on a medium, and never its key. */
async function isSite(folder: string): Promise<boolean> {
  const has = (path: string): Promise<boolean> => isAccessible(join(folder, path));
  if (!(await has('config.ini'))) return false;
  return (await has('miscellaneous/sign.key')) || !(await has('miscellaneous/sign.crt'));
}

function folderOf(text: string): string {
  // An empty variable of a script would mean the current folder.
  if (text === '') throw new CacheError('usage', 'an empty name; name a folder or a URL');
  return resolve(text);
}

/**
 * Opens the store in a folder to write to; makes a missing one.
 * @param dryRun only reads
 * @throws CacheError `usage`, `config`, `storage`, `no-space`
 */
export async function openTargetStore(text: string, site: Site, dryRun: boolean): Promise<Store> {
  if (isBucketUrl(text)) {
    const url = bucketOf('TO', text);
    // Only cache init makes the store of a configuration.
    if (url === site.location) return site.store(dryRun ? 'read' : 'write');
    return site.storeAt(url, dryRun ? 'dry-run' : 'write', true);
  }
  const folder = folderOf(text);
  const medium = await mediumAt(folder);
  if (medium !== undefined) {
    const [what, name] = medium === folder ? ['is', text] : ['is in', medium];
    throw new CacheError(
      'usage',
      `${text} ${what} a medium with a manifest, which other writes would invalidate; write to it with: ${commandOf(site.config, 'export', [name])}`,
    );
  }
  await checkIsNoFile('TO', folder);
  const location = await storeIn(folder);
  // Only cache init makes the store of a configuration: its disk may not be mounted.
  if (site.config.file !== undefined && (await realPathOf(location)) === (await realPathOf(site.location)))
    return site.store(dryRun ? 'read' : 'write');
  const isNew = (await statIfThere(location)) === undefined;
  if (isNew && (await statIfThere(dirname(location))) === undefined)
    throw new CacheError(
      'usage',
      `TO: there is no folder ${dirname(location)} to make the store in; make the folder, or mount its disk`,
    );
  const store = await site.storeAt(location, dryRun ? 'dry-run' : 'write', true);
  if (isNew && !dryRun) site.messages.tell(`made a new store: ${location}`);
  return store;
}

/** The URL of a bucket, as `Site.location` spells it. @throws CacheError `usage` */
function bucketOf(argument: string, text: string): string {
  return parseOption(argument, () => formatBucketUrl(parseBucketUrl(text)));
}

/** Whether both names are one folder or bucket. */
export async function isSameFolder(a: string, b: string): Promise<boolean> {
  if (isBucketUrl(a) || isBucketUrl(b))
    return isBucketUrl(a) && isBucketUrl(b) && bucketOf('FROM', a) === bucketOf('TO', b);
  const [one, other] = [await identityOf(resolve(a)), await identityOf(resolve(b))];
  return one !== undefined && one === other;
}

/** Whether both caches are one, as far as their URLs show. */
export function isSameServer(a: UpstreamUrls, b: UpstreamUrls): boolean {
  return (
    comparableUrl(a.directory) === comparableUrl(b.directory) &&
    comparableUrl(a.blobs) === comparableUrl(b.blobs)
  );
}

/**
 * Refuses a medium inside the exported store and the reverse, because the inner one would be a stray. The exported
 * store may be the medium's own.
 * @throws CacheError `usage`
 */
export async function refuseNesting(medium: string, store: string): Promise<void> {
  // Opening a missing path reports it.
  const [outer, inner, own] = await Promise.all(
    [medium, join(medium, 'store'), store].map((path) => realpath(path).catch(() => undefined)),
  );
  if (own === undefined || outer === undefined) return;
  if (isWithin(outer, own))
    throw new CacheError(
      'usage',
      `${medium} is inside the exported store ${store}; name the folder where a medium is mounted`,
    );
  if (inner !== undefined && inner !== own && isWithin(own, inner))
    throw new CacheError(
      'usage',
      `the exported store ${store} is inside ${inner}, the folder to write to; name the folder where a medium is mounted`,
    );
}

/** Without user and password, and with what a URL may leave out. */
function comparableUrl(text: string): string {
  const { origin, pathname } = new URL(text);
  return origin + pathname.replace(/(?<!\/)\/+$/, '');
}

async function identityOf(folder: string): Promise<string | undefined> {
  const stats = await statIfThere(await storeIn(folder));
  return stats && `${stats.dev} ${stats.ino}`;
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
    // A file has nothing inside.
    if (systemCode(error) !== 'ENOTDIR') throwUnlessAbsent(error, `can't look at ${path}`);
    return undefined;
  }
}
