import { constants } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import {
  formatCustodyLine,
  type CustodyEvent,
  type CustodyLineParts,
  type CustodyLog,
  type LocalActor,
} from '../cache/custody.ts';
import { digestOf } from '../cache/digest.ts';
import { systemCode } from '../cache/errors.ts';
import { CUSTODY_FILE, CUSTODY_LOCK } from '../cache/layout.ts';
import { NO_FOLLOWING, readEnd, readLines, type LogEnd } from './custody-lines.ts';
import { takeFolderLock } from './folder-lock.ts';
import { storageError } from './storage-error.ts';
import { checkIsStillThere } from './store-folder.ts';
import { syncFolder } from './sync-folder.ts';

export interface CustodyFileOptions {
  /** Who runs this program. */
  readonly who: LocalActor;
  /** How long somebody who writes is waited for while nothing happens, in milliseconds. */
  readonly patience?: number;
  readonly now?: () => Date;
}

/** How many lines are written at once. */
const BATCH_LIMIT = 64;

/** An event on its way into the file. */
interface WaitingEvent {
  readonly parts: Pick<CustodyLineParts, 'at' | 'who' | 'event'>;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/**
 * `custody.log` of the store at `root`. Any number of processes may write to it at once: the end of the file is read, and
 * lines that continue it are appended, under a lock that goes with its owner. Nothing is made or opened before it's needed.
 */
export function createCustodyFile(
  root: string,
  { who, patience = 30_000, now = () => new Date() }: CustodyFileOptions,
): CustodyLog {
  const path = join(root, CUSTODY_FILE);
  const waiting: WaitingEvent[] = [];
  const place: LogPlace = { root, path, patience };
  let isWriting = false;

  const writeWaiting = async (): Promise<void> => {
    isWriting = true;
    while (waiting.length > 0) {
      const batch = waiting.splice(0, BATCH_LIMIT);
      try {
        const events = batch.map(({ parts }) => parts);
        await append(place, events);
        for (const { resolve } of batch) resolve();
      } catch (error) {
        const reason = storageError(error, `can't write ${path}`);
        for (const { reject } of batch) reject(reason);
      }
    }
    isWriting = false;
  };

  return {
    record: (event: CustodyEvent, client) =>
      new Promise((resolve, reject) => {
        const actor = client === undefined ? who : { ...client, host: who.host };
        waiting.push({ parts: { at: now(), who: actor, event }, resolve, reject });
        if (!isWriting) void writeWaiting();
      }),
    lines: () => readLines(root, path),
  };
}

/** Where the log is. */
interface LogPlace {
  readonly root: string;
  readonly path: string;
  readonly patience: number;
  /** The file of which it is known that its name is on the disk. */
  named?: string;
}

/** Appends a line for each event, and has them on the disk. */
async function append(place: LogPlace, events: readonly WaitingEvent['parts'][]): Promise<void> {
  const { root, path, patience } = place;
  const free = await takeFolderLock(root, CUSTODY_LOCK, patience);
  let file: FileHandle | undefined;
  try {
    try {
      file = await openToAppend(root, path);
      await keepName(place, file);
      await file.appendFile(linesAfter(await readEnd(file, path), events));
    } catch (error) {
      await free();
      throw error;
    }
    // Others may go on while the disk writes: the order is settled.
    await Promise.all([free(), file.datasync()]);
  } finally {
    await file?.close();
  }
}

async function openToAppend(root: string, path: string): Promise<FileHandle> {
  const flags = constants.O_RDWR | constants.O_APPEND | NO_FOLLOWING;
  try {
    return await open(path, flags);
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
  }
  // Never on the empty mount point of a disk that was unplugged.
  await checkIsStillThere(root);
  return open(path, flags | constants.O_CREAT, 0o644);
}

/** Whoever made the log may have failed to sync its folder: so each process does, once. */
async function keepName(place: LogPlace, file: FileHandle): Promise<void> {
  const { dev, ino, birthtimeMs } = await file.stat();
  const named = [dev, ino, birthtimeMs].join();
  if (place.named === named) return;
  await syncFolder(place.root);
  place.named = named;
}

function linesAfter({ previous, cutOff, isEnded }: LogEnd, events: readonly WaitingEvent['parts'][]): string {
  // What an interrupted writer left stays as it is, and gets the newline that it lacks.
  let text = isEnded ? '' : '\n';
  let before = { previous, cutOff };
  for (const parts of events) {
    const line = formatCustodyLine({ ...before, ...parts });
    text += `${line}\n`;
    before = { previous: digestOf(line), cutOff: undefined };
  }
  return text;
}
