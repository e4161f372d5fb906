import { keyOfSoftwareUrl } from '../cache/key.ts';
import { fileNamePart } from './archive-name.ts';
import { throwProgrammingError } from '../cache/errors.ts';

/** Leaves room for the platform in a file name of 255 bytes. */
const LENGTH_LIMIT = 160;

/** A version or a commit at the end, after a `-`. */
const VERSION = /-(v?\d+\.\d.*|[0-9a-f]{40}$)/i;

/** Name and version of a release, from the folders of its URL. */
interface Told {
  readonly name: readonly string[];
  readonly version: readonly string[];
}

/**
 * A readable name of the release of a software URL, fit for a file name: `rapid-cdn-1.0.344` for
 * `https://HOST/GROUP/slapos/raw/1.0.344/software/rapid-cdn/software.cfg`, `rapid-cdn-py3-1.0.344` for its
 * `software-py3.cfg`. Without a version if the URL has none; different URLs may get the same name. Never throws.
 */
export function nameOfRelease(url: string): string {
  const { name, version } = toldBy(url);
  return fileNamePart(joined([...name, ...version]).slice(0, LENGTH_LIMIT)) || keyOfSoftwareUrl(url);
}

/**
 * Name and version of the release of a software URL, as a person writes them: `rapid-cdn@1.0.344`. The parts are those of
 * `nameOfRelease`; undefined if the URL lacks one. Never throws.
 */
export function versionedNameOf(url: string): string | undefined {
  const { name, version } = nameAndVersionOf(url);
  return name === '' || version === '' ? undefined : `${name}@${version}`;
}

/** The two parts of `versionedNameOf`; each is `''` if the URL lacks it. Never throws. */
export function nameAndVersionOf(url: string): { readonly name: string; readonly version: string } {
  const told = toldBy(url);
  return { name: joined(told.name), version: joined(told.version) };
}

/** The name includes the variant of the profile. */
function toldBy(url: string): Told {
  const { host, segments } = partsOf(url);
  const folders = segments.slice(0, -1);
  const { name, version } = toldByRef(host, folders) ?? toldByFolders(folders);
  return { name: [...name, variantOf(segments.at(-1) ?? '', name.at(-1))], version };
}

function joined(parts: readonly string[]): string {
  return parts
    .map(fileNamePart)
    .filter((part) => part !== '')
    .join('-');
}

function partsOf(url: string): { readonly host: string; readonly segments: readonly string[] } {
  const [, host = '', path = url] = /^[a-z][a-z0-9+.-]*:\/\/([^/?#]*)([^?#]*)/i.exec(url) ?? [];
  const segments = path.split('/').filter((segment) => !['', '.', '..', '~'].includes(segment));
  return { host: host.toLowerCase(), segments: segments.map(decode) };
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch (error) {
    throwProgrammingError(error);
    return segment; // A literal "%".
  }
}

/** `…/raw/REF/software/NAME` of GitLab, GitHub and Gitea; a branch may be several folders. */
function toldByRef(host: string, folders: readonly string[]): Told | undefined {
  const raw = folders.indexOf('raw');
  const start = host === 'raw.githubusercontent.com' ? 2 : raw + 1;
  if (start === 0 || start >= folders.length) return undefined;
  const rest = folders.slice(start);
  const ref = rest[0] === 'refs' ? rest.slice(2) : rest;
  const mark = markIn(ref);
  if (mark > 0) return { name: ref.slice(mark + 1), version: ref.slice(0, mark) };
  const project = folders.slice(0, start).filter((folder) => folder !== 'raw' && folder !== '-');
  return { name: ref.length > 1 ? ref.slice(1) : project.slice(-1), version: ref.slice(0, 1) };
}

/** A checkout, or a file server: the name of a parent folder may have the version. */
function toldByFolders(folders: readonly string[]): Told {
  const mark = markIn(folders);
  const above = folders.slice(0, mark === -1 ? -1 : mark);
  return {
    name: mark === -1 ? folders.slice(-1) : folders.slice(mark + 1),
    version: above.map(versionOf).findLast((version) => version.length > 0) ?? [],
  };
}

/** A tag or a commit at the end of a folder's name: `1.0.344`, `v2.1`, `slapos-1.0.344`, 40 hex digits. */
function versionOf(folder: string): readonly string[] {
  const start = /^.*[^a-z0-9.+-]/is.exec(folder)?.[0].length ?? 0;
  const isFirst = start === 0 || folder.charAt(start - 1) === '_';
  const version = VERSION.exec(`${isFirst ? '-' : ''}${folder.slice(start)}`)?.[1];
  return version === undefined ? [] : [version];
}

/** The index of `software` in `software/NAME`, or -1. */
function markIn(folders: readonly string[]): number {
  return folders.slice(0, -1).lastIndexOf('software');
}

/** The part that distinguishes profiles of one folder: `py3` of `software-py3.cfg`. */
function variantOf(file: string, folder: string | undefined): string {
  const stem = file.replace(/\.cfg$/i, '');
  const [, variant = ''] = /^software(?:[-_.](.*))?$/is.exec(stem) ?? [undefined, stem];
  return variant === folder ? '' : variant;
}
