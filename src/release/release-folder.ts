import type { Dirent } from 'node:fs';
import { readdir, realpath } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { CacheError, shortReasonOf, systemCode, throwProgrammingError } from '../cache/errors.ts';
import { keyOfSoftwareUrl } from '../cache/key.ts';
import { readSmallFile } from '../files/small-file.ts';
import { softwareUrlOf } from './buildout-config.ts';
import type { ReleaseMarkers } from './release-markers.ts';

/** The folder of a software release in a software root, as slapgrid left it. */
export interface ReleaseFolder {
  /** Absolute, without symbolic links. */
  readonly path: string;
  /** md5(software URL): the folder's name. */
  readonly key: string;
  readonly softwareUrl: string;
  /**
   * Where it was built, as far as it can be told: as buildout wrote it down, or else as the person named it. A software root
   * that is a symbolic link is not resolved: its own path is what the programs hold.
   */
  readonly softwareRoot: string;
  /** Whether that is somewhere else than the folder is now. */
  readonly isMoved: boolean;
  readonly markers: ReleaseMarkers;
}

/**
 * Finds out which software release a folder is, by its name and its buildout.cfg.
 * @param url the software URL where a person tells it
 * @throws CacheError `invalid-archive` when it is none, or its URL isn't the one that it is named by
 */
export async function readReleaseFolder(path: string, url?: string): Promise<ReleaseFolder> {
  const { folder, items } = await look(path);
  const key = basename(folder);
  if (!/^[0-9a-f]{32}$/.test(key))
    throw refused(
      'its name is not the md5 of a software URL; name a folder of the software root, such as /opt/slapgrid/16d47c5ab38233146f11c11abdd14575',
    );
  if (items.length === 0) throw refused('it is empty');
  const softwareUrl = url ?? (await configuredUrl(folder, key));
  const expected = keyOfSoftwareUrl(softwareUrl);
  if (expected !== key)
    throw refused(
      `the URL ${url === undefined ? 'that its buildout.cfg extends' : 'given by --url'} is ${softwareUrl}, whose md5 is ${expected}: not the folder's name`,
    );
  const has = (name: string): boolean => items.some((item) => item.name === name && item.isFile());
  const markers = { completed: has('.completed'), shared: has('.shared') };
  const named = dirname(basename(resolve(path)) === key ? resolve(path) : folder);
  const softwareRoot = (await rootByBuildout(folder, key)) ?? named;
  const isMoved = softwareRoot !== named && softwareRoot !== dirname(folder);
  return { path: folder, key, softwareUrl, softwareRoot, isMoved, markers };
}

/** Bytes; those of real releases have a few million. */
const INSTALLED_LIMIT = 64 * 1024 * 1024;

/** Where buildout installed the first part, by its own record. */
async function rootByBuildout(folder: string, key: string): Promise<string | undefined> {
  let text: string;
  try {
    text = (await readSmallFile(join(folder, '.installed.cfg'), INSTALLED_LIMIT)).toString('utf8');
  } catch (error) {
    throwProgrammingError(error);
    // Whether it can be packed at all is told by tar.
    return undefined;
  }
  const inRoot = new RegExp(`^(.+?)/${key}(?:/|$)`);
  // Of a list of paths, the one that is of the release: they are separated by blanks or colons.
  for (const [word] of text.matchAll(/[^\s:]+/g)) {
    const path = word.startsWith('/') ? 0 : word.indexOf('=/') + 1;
    const root = word.charAt(path) === '/' ? inRoot.exec(word.slice(path))?.[1] : undefined;
    if (root !== undefined) return root;
  }
  return undefined;
}

async function look(path: string): Promise<{ readonly folder: string; readonly items: readonly Dirent[] }> {
  try {
    const folder = await realpath(path);
    return { folder, items: await readdir(folder, { withFileTypes: true }) };
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOENT') throw refused('there is no such folder');
    if (code === 'ENOTDIR') throw refused('it is not a folder');
    throw refused(`it can't be read (${shortReasonOf(error)})`, error);
  }
}

async function configuredUrl(folder: string, key: string): Promise<string> {
  let text: string;
  try {
    text = (await readSmallFile(join(folder, 'buildout.cfg'))).toString('utf8');
  } catch (error) {
    const code = systemCode(error);
    if (code !== 'ENOENT') throw refused(`its buildout.cfg can't be read (${shortReasonOf(error)})`, error);
    throw refused('it has no buildout.cfg, so nothing tells its software URL; give it with --url');
  }
  const url = softwareUrlOf(text, key);
  if (url === undefined)
    throw refused('its buildout.cfg tells no software URL ("extends" of [buildout]); give it with --url');
  return url;
}

function refused(message: string, cause?: unknown): CacheError {
  return new CacheError('invalid-archive', message, { cause });
}
