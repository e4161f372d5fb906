import { CacheError } from '../cache/errors.ts';
import { keyOfSoftwareUrl, type Key } from '../cache/key.ts';
import { multiarchOn, type Platform } from '../cache/platform.ts';
import type { OsRelease } from '../cache/system.ts';
import type { ArchiveName } from '../release/archive-name.ts';
import type { ReleaseGlimpse } from '../release/release-contents.ts';

/** Statements about the archives from the command line and config.ini. */
export interface StatedIdentity {
  readonly url?: string | undefined;
  readonly os?: OsRelease | undefined;
  readonly multiarch?: string | undefined;
  /** `[software]`: the URL of a release's name. */
  readonly software: { get(name: string): string | undefined };
}

/** The software release and platform of an archive. */
export interface ReleaseIdentity {
  readonly softwareUrl: string;
  readonly key: Key;
  readonly platform: Platform;
}

/** @throws CacheError `invalid-archive` if anything stays unknown, or the archive contradicts a statement */
export function identifyRelease(
  contents: ReleaseGlimpse,
  name: ArchiveName,
  stated: StatedIdentity,
): ReleaseIdentity {
  const softwareUrl = softwareUrlOf(contents, name, stated);
  return {
    softwareUrl,
    key: keyOfSoftwareUrl(softwareUrl),
    platform: platformOf(contents, name, stated),
  };
}

function platformOf(contents: ReleaseGlimpse, name: ArchiveName, stated: StatedIdentity): Platform {
  const os = osOf(name, stated);
  // Neither file names nor programs show gcc's name for the system.
  return { os, multiarch: stated.multiarch ?? multiarchOn(os, multiarchOf(contents, name)) };
}

function softwareUrlOf(
  contents: ReleaseGlimpse,
  name: ArchiveName,
  { url, software }: StatedIdentity,
): string {
  const sources = [
    { url, source: 'by --url' },
    { url: software.get(name.name) ?? software.get(name.base), source: `in [software] for ${name.base}` },
    { url: contents.softwareUrl, source: 'in the buildout.cfg of the archive' },
  ];
  const told = sources.find((candidate) => candidate.url !== undefined);
  if (told?.url === undefined) {
    throw new CacheError(
      'invalid-archive',
      `its software URL is unknown: no buildout.cfg with an "extends" is inside; give it with --url, or in config.ini: [software] ${name.base} = URL`,
    );
  }
  const key = keyOfSoftwareUrl(told.url);
  if (contents.folder === undefined) throw new CacheError('invalid-archive', 'it holds no folder');
  if (key === contents.folder) return told.url;
  const inside =
    contents.softwareUrl !== undefined && keyOfSoftwareUrl(contents.softwareUrl) === contents.folder
      ? `; the archive's own buildout.cfg names ${contents.softwareUrl}`
      : '';
  throw new CacheError(
    'invalid-archive',
    `the URL given ${told.source} is ${told.url}, whose md5 is ${key}, but the folder in the archive is ${contents.folder}${inside}`,
  );
}

function osOf(name: ArchiveName, { os }: StatedIdentity): OsRelease {
  const known = os ?? name.os;
  if (known !== undefined) return known;
  if (name.unknownOs !== undefined)
    throw new CacheError(
      'invalid-archive',
      `the codename of its system, ${name.unknownOs.replace(',', ' ')}, is not known: give it with --os "${name.unknownOs},CODENAME", as Python's distro gives it on a node`,
    );
  throw new CacheError(
    'invalid-archive',
    `the operating system is unknown: give it with --os ubuntu-22.04 (or what it is), or name the file ${name.base}-ubuntu-22.04.tar.gz`,
  );
}

function multiarchOf(contents: ReleaseGlimpse, name: ArchiveName): string {
  if (
    name.multiarch !== undefined &&
    contents.multiarch !== undefined &&
    name.multiarch !== contents.multiarch
  ) {
    throw new CacheError(
      'invalid-archive',
      `its name says ${name.multiarch}, but the programs inside are for ${contents.multiarch}; correct the name or give --multiarch`,
    );
  }
  const known = name.multiarch ?? contents.multiarch;
  if (known !== undefined) return known;
  throw new CacheError(
    'invalid-archive',
    'the machine is unknown: no program is inside; give it with --multiarch x86_64-linux-gnu (or what it is)',
  );
}
