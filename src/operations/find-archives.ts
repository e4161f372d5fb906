import { readdir, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { CacheError, systemCode } from '../cache/errors.ts';
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
 * The archives that a person means by `paths`: files as they are named, the archives of a folder (not of its
 * subfolders), and of a medium those of its `software/`. In the order of their names.
 * @throws CacheError `usage` for a path that isn't there or can't be read
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
    const inFolder = await archivesInFolder(path);
    return inFolder ?? (await archivesInFolder(join(path, 'software'))) ?? [];
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOENT')
      throw new CacheError('usage', `${path}: no such file or folder; is the medium mounted?`);
    if (code === 'EACCES') throw new CacheError('usage', `${path}: permission denied`, { cause: error });
    if (code === undefined) throw error;
    throw new CacheError('usage', `${path}: can't be read (${code})`, { cause: error });
  }
}

/** @returns undefined when the folder holds no archive */
async function archivesInFolder(folder: string): Promise<readonly ArchiveFile[] | undefined> {
  const archives: ArchiveFile[] = [];
  let names: string[];
  try {
    names = await readdir(folder);
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return undefined;
    throw error;
  }
  for (const name of names.sort()) {
    // macOS leaves a "._NAME" beside each file that it copies to a FAT disk.
    if (!isArchiveName(name) || name.startsWith('.')) continue;
    const path = join(folder, name);
    // One that can't be looked at, such as a link to nowhere, doesn't stop the rest: reading it tells its own error.
    const stats = await stat(path).catch(() => undefined);
    if (stats?.isFile() ?? true)
      archives.push({ path, size: stats?.size ?? 0, modified: stats?.mtimeMs ?? 0 });
  }
  return archives.length === 0 ? undefined : archives;
}

/** The name of the file alone, as messages and entries have it. */
export function fileNameOf({ path }: ArchiveFile): string {
  return basename(path);
}
