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
   * Where it was built, as buildout recorded it, or else as the user named it. A software root that is a symbolic link
   * isn't resolved: programs contain its own path.
   */
  readonly softwareRoot: string;
  /** Whether the folder was moved away from `softwareRoot`. */
  readonly isMoved: boolean;
  readonly markers: ReleaseMarkers;
}

/**
 * Identifies the software release in a folder by its name and its buildout.cfg.
 * @param url the software URL, if the user gave it
 * @throws CacheError `invalid-archive` when it is none, or its name isn't the md5 of its URL
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

/** Bytes; real releases have a few million. */
const INSTALLED_LIMIT = 64 * 1024 * 1024;

/** The software root in buildout's own record. */
async function rootByBuildout(folder: string, key: string): Promise<string | undefined> {
  let text: string;
  try {
    text = (await readSmallFile(join(folder, '.installed.cfg'), INSTALLED_LIMIT)).toString('utf8');
  } catch (error) {
    throwProgrammingError(error);
    // tar reports a file that can't be read.
    return undefined;
  }
  const inRoot = new RegExp(`^(.+?)/${key}(?:/|$)`);
  // Paths may stand in lists, separated by blanks or colons.
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
    if (code === 'ENOENT') throw refused('no such folder');
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
    throw refused('it has no buildout.cfg with the software URL; give the URL with --url');
  }
  const url = softwareUrlOf(text, key);
  if (url === undefined)
    throw refused('its buildout.cfg has no software URL ("extends" of [buildout]); give it with --url');
  return url;
}

function refused(message: string, cause?: unknown): CacheError {
  return new CacheError('invalid-archive', message, { cause });
}
