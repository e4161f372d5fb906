import { readdir, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { CacheError, shortReasonOf, systemCode, isUndecodable, UNDECODABLE } from '../cache/errors.ts';
import { isArchiveName } from '../release/archive-name.ts';

/** A file that may hold a software release. */
export interface ArchiveFile {
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** Modification time, milliseconds since 1970. */
  readonly modified: number;
}

/**
 * Names that occur in a medium, compared without case because FAT ignores it. Other code reads `manifest.json`; here
 * it only shows that the folder is not a folder of archives.
 */
const OF_A_MEDIUM: ReadonlySet<string> = new Set([
  ...['store', 'software', 'packages', 'miscellaneous'],
  ...['config.ini', 'manifest.json', 'export-unfinished.json', 'packages.sha512', 'packages.sha512.sig'],
]);

/** A folder given for its archives that also has files of a medium; they are unsigned. */
export class MixedFolder extends CacheError {
  readonly folder: string;
  /** Paths of the archives in the folder and in its `software/`. */
  readonly archives: readonly string[];
  readonly #found: readonly string[];

  constructor(
    folder: string,
    found: readonly string[],
    archives: readonly string[],
    advice: readonly string[] = [],
  ) {
    const what = `${folder} looks like a medium (${found.join(', ')}), but has no manifest.json: its contents are unsigned, so its name alone does not import archives`;
    super('invalid-medium', [what, ...advice].join('\n'));
    this.folder = folder;
    this.archives = archives;
    this.#found = found;
  }

  /** @param advice remedies, one line each */
  withAdvice(advice: readonly string[]): CacheError {
    return new MixedFolder(this.folder, this.#found, this.archives, advice);
  }
}

/**
 * Finds the archives to sign: the given files, and the archives directly in a given folder, by name. Rejects a folder
 * with files of a medium, because anyone who carried it may have added archives.
 * @throws CacheError `usage` for a path that is missing or unreadable; `MixedFolder`
 */
export async function findArchives(paths: readonly string[]): Promise<readonly ArchiveFile[]> {
  const found = new Map<string, ArchiveFile>();
  for (const path of paths) {
    for (const archive of await archivesOf(path)) found.set(archive.path, archive);
  }
  return [...found.values()];
}

async function archivesOf(path: string): Promise<readonly ArchiveFile[]> {
  try {
    const stats = await stat(path);
    if (stats.isFile()) return [{ path, size: stats.size, modified: stats.mtimeMs }];
    if (!stats.isDirectory()) throw new CacheError('usage', `${path} is neither a file nor a folder`);
    return await archivesInFolder(path);
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOENT')
      throw new CacheError(
        'usage',
        `${path}: ${isUndecodable(path) ? UNDECODABLE : 'no such file or folder; is the medium mounted?'}`,
      );
    if (code === undefined) throw error;
    throw new CacheError('usage', `${path}: can't be read (${shortReasonOf(error)})`, { cause: error });
  }
}

async function archivesInFolder(folder: string): Promise<readonly ArchiveFile[]> {
  const archives: ArchiveFile[] = [];
  const names = (await readdir(folder)).sort();
  const ofMedium = names.filter((name) => OF_A_MEDIUM.has(name.toLowerCase()));
  const ofArchives = names.filter(isVisibleArchive);
  if (ofMedium.length > 0) {
    const software = await readdir(join(folder, 'software')).catch(() => []);
    const inside = software.filter(isVisibleArchive).map((name) => join('software', name));
    const found = [...inside, ...ofArchives].map((name) => resolve(folder, name));
    throw new MixedFolder(resolve(folder), ofMedium, found);
  }
  for (const name of ofArchives) {
    const path = join(folder, name);
    // An inaccessible file, such as a broken link, doesn't stop the rest: reading it reports its own error.
    const stats = await stat(path).catch(() => undefined);
    if (stats?.isFile() ?? true)
      archives.push({ path, size: stats?.size ?? 0, modified: stats?.mtimeMs ?? 0 });
  }
  return archives;
}

/** macOS leaves a `._NAME` next to each file that it copies to a FAT disk. */
function isVisibleArchive(name: string): boolean {
  return isArchiveName(name) && !name.startsWith('.');
}

/** The file name without folders, for messages and entries. */
export function fileNameOf({ path }: ArchiveFile): string {
  return basename(path);
}
