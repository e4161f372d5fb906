import type { Stats } from 'node:fs';
import { lstat, opendir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isDigest, type Digest } from '../cache/digest.ts';
import { parseEntry } from '../cache/entry.ts';
import { CacheError, isUndecodable, shortReasonOf, systemCode, UNDECODABLE } from '../cache/errors.ts';
import { isKey, type Key } from '../cache/key.ts';
import { readPieces } from '../cache/object-pieces.ts';
import type { Source, SourceEntry } from '../cache/source.ts';
import { openRegularFile, readSmallFile } from '../files/small-file.ts';

/** The two folders of the shacache of `slapos proxy` (protocol.md, "Other layouts"). */
export interface ProxyPaths {
  /** Holds blobs, each named by its sha512. */
  readonly content: string;
  /** Holds a JSON list of pairs for each key, named by the key. */
  readonly metadata: string;
}

/** A file that is not taken over. */
export interface ProxyFault {
  readonly file: string;
  readonly reason: string;
}

/** The folders as a source. The time of arrival of an entry is the time of its file. */
export interface ProxyFolders extends Source {
  /** All blobs by their names, in no order. */
  blobs(): AsyncIterable<Digest>;
}

/** Largest list of entries of a key, in bytes. */
const LIST_SIZE_LIMIT = 16 * 1024 * 1024;

/**
 * Reads the folders, and writes nothing to them. Follows no link, because the folders belong to another program.
 * @param onFault receives each file that is neither a blob nor a list of entries, and each bad entry
 * @throws CacheError `usage`: one is no folder, or can't be read; `storage`: it can't be read any more
 */
export async function openProxyFolders(
  { content, metadata }: ProxyPaths,
  onFault: (fault: ProxyFault) => void,
): Promise<ProxyFolders> {
  await checkFolder('CONTENT_DIR', content);
  await checkFolder('METADATA_DIR', metadata);

  const names = async function* <Name extends string>(
    folder: string,
    isName: (name: string) => name is Name,
    kind: string,
  ): AsyncGenerator<Name> {
    try {
      for await (const item of await opendir(folder)) {
        const { name } = item;
        const reason = faultOfKind(item) ?? (isName(name) ? undefined : faultOfName(name, kind));
        if (reason !== undefined) onFault({ file: join(folder, name), reason });
        else if (isName(name)) yield name;
      }
    } catch (error) {
      throw new CacheError('storage', `${folder}: can't be read (${shortReasonOf(error)})`, { cause: error });
    }
  };

  const entries = async (key: Key): Promise<readonly SourceEntry[]> => {
    const file = join(metadata, key);
    const found: SourceEntry[] = [];
    try {
      const { mtimeMs } = await stat(file);
      const list = parseList((await readSmallFile(file, LIST_SIZE_LIMIT)).toString('utf8'));
      for (const [index, pair] of list.entries()) {
        try {
          // The lists are newest first.
          found.push({ ...parseEntry(pair), received: new Date(Math.floor(mtimeMs) - index) });
        } catch (error) {
          if (!(error instanceof CacheError)) throw error;
          onFault({ file, reason: `entry ${index + 1}: ${error.message}` });
        }
      }
    } catch (error) {
      onFault({ file, reason: shortReasonOf(error) });
    }
    return found;
  };

  const blobSize = async (digest: Digest): Promise<number | undefined> => {
    const file = join(content, digest);
    let stats: Stats;
    try {
      stats = await lstat(file);
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return undefined;
      throw unreadable(error);
    }
    const reason = faultOfKind(stats);
    if (reason !== undefined) throw new CacheError('damaged', reason);
    return stats.size;
  };

  return {
    name: content,
    keys: () => names(metadata, isKey, 'key'),
    blobs: () => names(content, isDigest, 'sha512'),
    entries,
    blobSize,
    async openBlob(digest) {
      const size = await blobSize(digest);
      if (size === undefined) return undefined;
      const file = await openRegularFile(join(content, digest)).catch((error: unknown) => {
        throw unreadable(error);
      });
      const read = async (into: Uint8Array, position: number): Promise<number> => {
        try {
          return (await file.read(into, 0, into.byteLength, position)).bytesRead;
        } catch (error) {
          throw unreadable(error);
        }
      };
      const close = (): Promise<void> => file.close();
      return { size, pieces: readPieces({ read }), close };
    },
  };
}

/** @throws CacheError `usage` */
async function checkFolder(argument: string, path: string): Promise<void> {
  try {
    await (await opendir(path)).close();
  } catch (error) {
    const what = FAULTS_OF_FOLDER.get(systemCode(error) ?? '') ?? `can't be read (${shortReasonOf(error)})`;
    throw new CacheError('usage', `${argument}: ${path}: ${what}; name both folders of slapos proxy`, {
      cause: error,
    });
  }
}

const FAULTS_OF_FOLDER: ReadonlyMap<string, string> = new Map([
  ['ENOENT', 'no such folder, or its disk is not mounted'],
  ['ENOTDIR', 'not a folder'],
]);

function faultOfKind(file: Pick<Stats, 'isFile' | 'isSymbolicLink' | 'isDirectory'>): string | undefined {
  if (file.isFile()) return undefined;
  if (file.isSymbolicLink()) return 'a link, which is not followed';
  return file.isDirectory() ? 'a folder' : 'not a regular file';
}

function faultOfName(name: string, kind: string): string {
  return isUndecodable(name) ? UNDECODABLE : `its name is not a ${kind}`;
}

function parseList(text: string): readonly unknown[] {
  let list: unknown;
  try {
    list = JSON.parse(text);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new CacheError('invalid-entry', 'not JSON', { cause: error });
  }
  if (Array.isArray(list)) return list as readonly unknown[];
  throw new CacheError('invalid-entry', 'not a list of entries');
}

/** The error for one blob; the others may be sound. */
function unreadable(error: unknown): CacheError {
  return new CacheError('damaged', `can't be read (${shortReasonOf(error)})`, { cause: error });
}
