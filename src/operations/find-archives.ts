import { readdir, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { CacheError, systemCode, isUndecodable, UNDECODABLE } from '../cache/errors.ts';
import { isArchiveName } from '../release/archive-name.ts';

/** A file that may hold a software release. */
export interface ArchiveFile {
  readonly path: string;
  /** Bytes. */
  readonly size: number;
  /** When it was last written, milliseconds since 1970. */
  readonly modified: number;
}

/**
 * What stands in the folder of a medium, as far as it has to do with archives. Compared without case: FAT tells none.
 * `manifest.json` is read by its own code; here it only shows that the folder is no folder of archives.
 */
const OF_A_MEDIUM: ReadonlySet<string> = new Set([
  ...['store', 'software', 'packages', 'miscellaneous'],
  ...['config.ini', 'manifest.json', 'export-unfinished.json'],
]);

/** A folder that was named for its archives, and has things of a medium in it. Nobody has signed for what is there. */
export class MixedFolder extends CacheError {
  readonly folder: string;
  readonly #found: readonly string[];

  constructor(folder: string, found: readonly string[], advice: readonly string[] = []) {
    const what = `${folder} has no manifest.json: nobody has signed for what is on it, and it has things of a medium (${found.join(', ')}), so its name alone does not import archives`;
    super('invalid-medium', [what, ...advice].join('\n'));
    this.folder = folder;
    this.#found = found;
  }

  /** @param advice what to do, a line each */
  withAdvice(advice: readonly string[]): CacheError {
    return new MixedFolder(this.folder, this.#found, advice);
  }
}

/**
 * The archives that a person means by `paths`, which are signed here: files as they are named, and the archives of a
 * folder (not of its subfolders) that has nothing of a medium in it. Whoever had a medium in hand may have put archives
 * on it, and the command that verifies a medium must not sign those. In the order of their names.
 * @throws CacheError `usage` for a path that isn't there or can't be read; `MixedFolder`
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
    if (code === 'EACCES') throw new CacheError('usage', `${path}: permission denied`, { cause: error });
    if (code === undefined) throw error;
    throw new CacheError('usage', `${path}: can't be read (${code})`, { cause: error });
  }
}

async function archivesInFolder(folder: string): Promise<readonly ArchiveFile[]> {
  const archives: ArchiveFile[] = [];
  const names = (await readdir(folder)).sort();
  const ofMedium = names.filter((name) => OF_A_MEDIUM.has(name.toLowerCase()));
  if (ofMedium.length > 0) throw new MixedFolder(resolve(folder), ofMedium);
  for (const name of names) {
    // macOS leaves a "._NAME" beside each file that it copies to a FAT disk.
    if (!isArchiveName(name) || name.startsWith('.')) continue;
    const path = join(folder, name);
    // One that can't be looked at, such as a link to nowhere, doesn't stop the rest: reading it tells its own error.
    const stats = await stat(path).catch(() => undefined);
    if (stats?.isFile() ?? true)
      archives.push({ path, size: stats?.size ?? 0, modified: stats?.mtimeMs ?? 0 });
  }
  return archives;
}

/** The name of the file alone, as messages and entries have it. */
export function fileNameOf({ path }: ArchiveFile): string {
  return basename(path);
}
