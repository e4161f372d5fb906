import { randomInt } from 'node:crypto';
import {
  custodyRecord,
  type CustodyEvent,
  type CustodyLog,
  type CustodyRecord,
  type LocalActor,
  type RemoteActor,
} from './custody.ts';
import { digestOf } from './digest.ts';
import { CacheError } from './errors.ts';
import { CUSTODY_FILE, LOG, parseRecordName, recordName } from './layout.ts';
import { readPieces } from './object-pieces.ts';
import type { ObjectStorage } from './object-storage.ts';
import { DamagedObject, readSmallObject, writeSmallObject } from './small-object.ts';

/** Longer texts from outside are cut: the key still tells which URL it was. In UTF-16 units; each takes six bytes at most. */
const TEXT_LIMIT = 2000;
/** Largest record, and longest line of an old log, in bytes. */
const RECORD_LIMIT = 128 * 1024;

export interface CustodyLogOptions {
  /** Who runs this program. */
  readonly who: LocalActor;
  readonly now?: () => Date;
}

/** The log of the store whose objects are in `storage`. */
export function createCustodyLog(
  storage: ObjectStorage,
  { who, now = () => new Date() }: CustodyLogOptions,
): CustodyLog {
  // Two processes that begin at one number could take one name.
  let count = randomInt(500_000);
  return {
    async record(event, client) {
      const at = now();
      const text = formatRecord(at, client === undefined ? who : { ...client, host: who.host }, event);
      await writeSmallObject(storage, recordName(at, count++, digestOf(text)), text);
    },
    async list() {
      const names: string[] = [];
      for await (const name of storage.list(LOG)) if (parseRecordName(name) !== undefined) names.push(name);
      return names.sort();
    },
    async read(name) {
      const text = await readSmallObject(storage, name, RECORD_LIMIT);
      return text === undefined ? undefined : parseWholeRecord(name, text.slice(0, -1));
    },
    async *oldRecords() {
      for await (const line of linesOf(storage, CUSTODY_FILE)) yield parseRecord(line);
    },
  };
}

/** A clock that jumps decides nothing here: machines without network have wrong ones. */
function formatRecord(
  at: Date,
  who: LocalActor | (RemoteActor & Pick<LocalActor, 'host'>),
  { action, key, entry, sha512, softwareUrl, size, source, target, reason }: CustodyEvent,
): string {
  const members = { action, key, entry, sha512, softwareUrl, size, source, target, reason };
  return formatOneLine({ at: at.toISOString(), who, ...members });
}

/** A record as one line of JSON that is harmless on a terminal. */
export function formatOneLine(record: object): string {
  const text = JSON.stringify(record, (_name, value: unknown) =>
    typeof value === 'string' && value.length > TEXT_LIMIT ? `${value.slice(0, TEXT_LIMIT - 1)}…` : value,
  );
  // JSON lets these through; terminals act on some, and some programs take others for the end of a line.
  return text.replace(
    /[\u007f-\u009f\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

function parseWholeRecord(name: string, text: string): CustodyRecord {
  const record = parseRecord(text);
  if (record === undefined || parseRecordName(name)?.digest !== digestOf(text).slice(0, 16))
    throw new DamagedObject(name, 'it is not what was written');
  return record;
}

function parseRecord(text: string): CustodyRecord | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
  return custodyRecord.safeParse(value).data;
}

/** The lines of a text object without their newlines; none where it isn't there. @throws CacheError `storage` */
async function* linesOf(storage: ObjectStorage, name: string): AsyncGenerator<string> {
  const object = await storage.open(name);
  if (object === undefined) return;
  try {
    let begun = Buffer.alloc(0);
    for await (const piece of readPieces(object)) {
      begun = Buffer.concat([begun, piece]);
      for (let end = begun.indexOf('\n'); end !== -1; end = begun.indexOf('\n')) {
        yield begun.toString('utf8', 0, end);
        begun = begun.subarray(end + 1);
      }
      if (begun.length > RECORD_LIMIT)
        throw new CacheError(
          'storage',
          `${name} of the store has a line of more than ${RECORD_LIMIT} bytes; move it away`,
        );
    }
    if (begun.length > 0) yield begun.toString('utf8');
  } finally {
    await object.close();
  }
}
