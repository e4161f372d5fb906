import { randomBytes } from 'node:crypto';
import { open, rename, unlink, type FileHandle } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { CacheError, systemCode } from '../cache/errors.ts';
import type { ObjectWriter } from '../cache/object-storage.ts';
import { makeDurable, type DurableNames } from './durable-names.ts';
import { checkRoom, ROOM_CHECK_INTERVAL } from './free-space.ts';
import { makeFoldersBelow } from './folders-below.ts';
import { adoptFile, ownershipOf } from './ownership.ts';
import { storageError, throwUnlessAbsent } from './storage-error.ts';
import { checkIsStillThere, TEMPORARY } from './store-folder.ts';
import { ownerTag } from './temporary-name.ts';
import type { UnmadeStore } from './unmade-store.ts';

/** Bytes that are promised first to who doesn't know how much will come. */
const FIRST_INTERVAL = 64 * 1024;

export interface PromisedRoom {
  bytes: number;
  /** Resolves when nobody's room is being looked at any more. */
  settled: Promise<void>;
}

export interface FileWriterOptions {
  /** Bytes, where it is known. */
  readonly size: number | undefined;
  /** Bytes that stay free. */
  readonly minFreeSpace: number;
  /** What the writers of this process have room for, and have not written yet: shared by those of a store. */
  readonly promised: PromisedRoom;
  /** The path of an object's name. */
  readonly pathOf: (name: string) => string;
  /** Shared by all that happens to a store. */
  readonly durable: DurableNames;
  /** Told why the owner of the store can't read what is written. */
  readonly onOwnerFault?: ((fault: string) => void) | undefined;
  /** Where there is no store yet: what makes it. */
  readonly unmade?: UnmadeStore | undefined;
}

/** An object being written in the store's folder for temporary files. @throws CacheError `no-space`, `storage` */
export async function createFileWriter(
  root: string,
  { size, minFreeSpace, promised, pathOf, durable, onOwnerFault, unmade }: FileWriterOptions,
): Promise<ObjectWriter> {
  let ahead = 0;
  const release = (bytes: number): void => {
    const released = Math.min(bytes, ahead);
    ahead -= released;
    promised.bytes -= released;
  };
  const path = join(root, TEMPORARY, `${ownerTag()}.${randomBytes(9).toString('hex')}`);
  let file: FileHandle;
  try {
    if (size !== undefined) ahead = await promiseRoom(root, size, minFreeSpace, promised);
    file = await createTemporary(root, path, unmade);
    const fault = await adoptFile(file, await ownershipOf(root), 0o444);
    if (fault !== undefined) onOwnerFault?.(fault);
  } catch (error) {
    release(Infinity);
    await unmade?.takeBack();
    throw error;
  }
  let state: 'open' | 'committed' | 'aborted' = 'open';
  let closed = false;
  let position = 0;
  let nextCheck = ROOM_CHECK_INTERVAL;

  const close = async (): Promise<void> => {
    if (closed) return;
    closed = true;
    release(Infinity);
    await file.close();
  };

  return {
    async write(chunks) {
      const coming = chunks.reduce((sum, { byteLength }) => sum + byteLength, 0);
      if (size === undefined && coming > ahead) {
        release(Infinity);
        const most = Math.max(coming, growingInterval(position));
        ahead = await promiseSomeRoom(root, { least: coming, most }, minFreeSpace, promised);
        // It was given up while it waited.
        if (closed) release(Infinity);
      } else if (size !== undefined && position >= nextCheck) {
        nextCheck = position + ROOM_CHECK_INTERVAL;
        await checkRoom(root, 0, minFreeSpace);
      }
      try {
        for (let left = withoutFirst(chunks, 0); left.length > 0;) {
          const { bytesWritten } = await file.writev(left, position);
          position += bytesWritten;
          release(bytesWritten);
          left = withoutFirst(left, bytesWritten);
        }
      } catch (error) {
        throw storageError(error, `can't write ${path}`);
      }
    },
    async commit(name) {
      const target = pathOf(name);
      try {
        await file.sync();
        await close();
        await unmade?.admit(path, name);
        await moveInto(root, path, target);
        await makeDurable(target, durable, { isSynced: true });
        state = 'committed';
      } catch (error) {
        throw storageError(error, `can't write ${target}`);
      }
    },
    async abort() {
      if (state !== 'open') return;
      state = 'aborted';
      try {
        await close();
        await unlink(path);
      } catch (error) {
        throwUnlessAbsent(error, `can't remove ${path}`);
      }
      await unmade?.takeBack();
    },
  };
}

/** Bytes that are promised ahead of who doesn't know how much will come: as many as came, so that little needs little room. */
function growingInterval(position: number): number {
  return Math.min(Math.max(position, FIRST_INTERVAL), ROOM_CHECK_INTERVAL);
}

/** As `promiseRoom`, of as much as there is: nobody knows yet how much will come. */
async function promiseSomeRoom(
  root: string,
  { least, most }: { readonly least: number; readonly most: number },
  minFreeSpace: number,
  promised: PromisedRoom,
): Promise<number> {
  for (let size = most; ; size = Math.max(least, Math.floor(size / 2))) {
    try {
      return await promiseRoom(root, size, minFreeSpace, promised);
    } catch (error) {
      if (!(error instanceof CacheError) || error.code !== 'no-space' || size === least) throw error;
    }
  }
}

/**
 * Counts bytes as promised, if there is room for them. One after the other: what turns out to have no room must not count
 * meanwhile for others.
 */
async function promiseRoom(
  root: string,
  size: number,
  minFreeSpace: number,
  promised: PromisedRoom,
): Promise<number> {
  const promising = promised.settled.then(async () => {
    await checkRoom(root, size, minFreeSpace, { promised: promised.bytes });
    promised.bytes += size;
    return size;
  });
  promised.settled = promising.then(
    () => undefined,
    () => undefined,
  );
  return promising;
}

/** What is left of the chunks after their first `count` bytes; none that is empty. */
function withoutFirst(chunks: readonly Uint8Array[], count: number): readonly Uint8Array[] {
  const left: Uint8Array[] = [];
  let skipped = 0;
  for (const chunk of chunks) {
    const start = Math.min(count - skipped, chunk.length);
    skipped += start;
    if (start < chunk.length) left.push(chunk.subarray(start));
  }
  return left;
}

/** Renames, and makes the folders that are missing for it. */
async function moveInto(root: string, path: string, target: string): Promise<void> {
  const folder = dirname(target);
  // Somebody who removes the last object of a folder removes the folder too: in the middle of these, now and then.
  for (let attempt = 0; ; attempt++) {
    // In an empty mount point everything seems to be missing.
    if (folder !== root) await checkIsStillThere(root, relative(root, target));
    try {
      await makeFoldersBelow(root, folder);
      await rename(path, target);
      return;
    } catch (error) {
      if (systemCode(error) === 'ENOENT' && attempt < 10) continue;
      throw error;
    }
  }
}

async function createTemporary(
  root: string,
  path: string,
  unmade: UnmadeStore | undefined,
): Promise<FileHandle> {
  // Somebody else for whom nothing came of making this store takes the folder back: in the middle of this, now and then.
  for (let attempt = 0; ; attempt++) {
    try {
      return await open(path, 'wx', 0o444);
    } catch (error) {
      if (systemCode(error) !== 'ENOENT' || attempt === 10) throw storageError(error, `can't write ${path}`);
    }
    try {
      if (unmade?.isPending === true) await unmade.prepare();
      else {
        await checkIsStillThere(root, TEMPORARY);
        await makeFoldersBelow(root, dirname(path));
      }
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') throw storageError(error, `can't write ${path}`);
    }
  }
}
