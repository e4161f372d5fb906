import type { Digest } from '../../cache/digest.ts';
import { blobName, parsePartName } from '../../cache/layout.ts';
import { formatPlatform } from '../../cache/platform.ts';
import { isOfProgram, STORE_FOLDER, type Manifest, type MediumFile } from './manifest.ts';
import type { MediumEntry } from './open-medium.ts';

/** Contents of a medium's store, by name. */
export interface MediumContents {
  readonly files: ReadonlyMap<string, MediumFile>;
  readonly entries: ReadonlyMap<string, MediumEntry>;
}

/** The part of a manifest that describes the medium's contents. @param packages files of `packages/` and of the program, by path */
export function describeContents(
  { files, entries }: MediumContents,
  packages: ReadonlyMap<string, MediumFile>,
): Pick<Manifest, 'releases' | 'files' | 'split' | 'packages' | 'program'> {
  const split = splitBlobs(files);
  const sizes = new Map(split.map(({ sha512, size }) => [sha512, size]));
  return {
    releases: [...entries.values()].map(({ key, entry: { sha512, softwareUrl, url, platform } }) => {
      const size = files.get(blobName(sha512))?.size ?? sizes.get(sha512);
      return {
        key,
        ...((softwareUrl ?? url) === undefined ? {} : { url: softwareUrl ?? url }),
        ...(platform === undefined ? {} : { platform: formatPlatform(platform) }),
        sha512,
        ...(size === undefined ? {} : { size }),
      };
    }),
    files: [...files]
      .map(([name, { size, sha512 }]) => ({ path: `${STORE_FOLDER}/${name}`, size, sha512 }))
      .sort((a, b) => (a.path < b.path ? -1 : 1)),
    split,
    packages: [...packages]
      .filter(([path]) => !isOfProgram(path))
      .map(([path, { size, sha512 }]) => ({ path, size, sha512 })),
    program: [...packages].flatMap(([path, { size, sha512 }]) =>
      isOfProgram(path) ? [{ path, size, sha512 }] : [],
    ),
  };
}

function splitBlobs(files: ReadonlyMap<string, MediumFile>): Manifest['split'] {
  const parts = new Map<Digest, { index: number; name: string; size: number }[]>();
  for (const [name, { size }] of files) {
    const parsed = parsePartName(name);
    if (parsed === undefined) continue;
    const { digest, index } = parsed;
    const ofBlob = parts.get(digest);
    if (ofBlob === undefined) parts.set(digest, [{ index, name, size }]);
    else ofBlob.push({ index, name, size });
  }
  return [...parts].map(([sha512, found]) => ({
    sha512,
    size: found.reduce((sum, { size }) => sum + size, 0),
    parts: found.sort((a, b) => a.index - b.index).map(({ name }) => `${STORE_FOLDER}/${name}`),
  }));
}
