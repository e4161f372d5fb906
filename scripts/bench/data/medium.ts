import { createHash } from 'node:crypto';
import { chmod, copyFile, mkdir, opendir, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { makeSoftwareRelease, packRelease } from '../../../test/fixtures/software-release.ts';

/** An archive on the medium. */
export interface Archive {
  readonly path: string;
  /** Bytes. */
  readonly size: number;
}

/** Where the files of the releases are from: real programs, libraries, texts. */
const SOURCES = ['/usr/lib', '/usr/share'];
/** What gzip leaves of such files, for the first archive; the next ones know better. */
const USUAL_RATIO = 0.4;
/** Larger files would make an archive of one file. */
const FILE_SIZE_LIMIT = 32 * 1024 * 1024;

/**
 * Makes archives of compiled software releases in `folder`, as the guide packs them (`tar -czf`): about `size` bytes
 * in all.
 * @returns the archives, in the order of their names
 */
export async function makeArchives(
  folder: string,
  { count, size, signal }: { readonly count: number; readonly size: number; readonly signal: AbortSignal },
): Promise<readonly Archive[]> {
  const files = await findFiles(signal);
  const root = join(folder, 'root');
  const software = join(folder, 'software');
  await mkdir(software, { recursive: true });
  const archives: Archive[] = [];
  let ratio = USUAL_RATIO;
  for (let number = 0; number < count; number++) {
    const url = `https://lab.nexedi.com/nexedi/slapos/raw/1.0.${number}/software/medium/software.cfg`;
    const release = await makeSoftwareRelease(root, url);
    const unpacked = await fill(join(release, 'parts'), files, size / count / ratio, signal);
    const path = join(software, `medium-1.0.${number}-ubuntu-22.04.tar.gz`);
    await packRelease(release, path);
    await rm(root, { recursive: true });
    archives.push({ path, size: (await stat(path)).size });
    ratio = (archives.at(-1)?.size ?? 0) / unpacked;
  }
  return archives;
}

/** Copies files until there are `size` bytes; they are taken off the list. @returns the bytes that were copied */
async function fill(
  folder: string,
  files: { readonly path: string; readonly size: number }[],
  size: number,
  signal: AbortSignal,
): Promise<number> {
  let copied = 0;
  while (copied < size) {
    signal.throwIfAborted();
    const file = files.pop();
    if (file === undefined) throw new Error(`${SOURCES.join(' and ')} have too few files for a medium`);
    const target = join(folder, file.path);
    await mkdir(dirname(target), { recursive: true });
    await copyFile(file.path, target);
    await chmod(target, 0o755);
    copied += file.size;
  }
  return copied;
}

/** Regular files, mixed the same way each time: libraries, texts and images in every archive. */
async function findFiles(signal: AbortSignal): Promise<{ path: string; size: number }[]> {
  const found: { path: string; size: number; rank: string }[] = [];
  for (const source of SOURCES) {
    for await (const item of await opendir(source, { recursive: true, bufferSize: 512 })) {
      signal.throwIfAborted();
      if (!item.isFile()) continue;
      const path = join(item.parentPath, item.name);
      const { size } = await stat(path);
      if (size <= FILE_SIZE_LIMIT)
        found.push({ path, size, rank: createHash('md5').update(path).digest('hex') });
    }
  }
  return found.sort((a, b) => (a.rank < b.rank ? -1 : 1));
}
