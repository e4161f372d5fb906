import { randomInt } from 'node:crypto';
import { z } from 'zod';
import { digestOf, type Digest } from './digest.ts';
import { CacheError } from './errors.ts';
import type { Key } from './key.ts';
import { CUSTODY_FILE, LOG, parseRecordName, recordName } from './layout.ts';
import { readPieces } from './object-pieces.ts';
import type { ObjectStorage } from './object-storage.ts';
import { DamagedObject, readSmallObject, writeSmallObject } from './small-object.ts';

/** The recorded actions on a store. */
export type LogAction =
  /** From an archive or a medium. */
  | 'import'
  /** From a folder that was compiled here. */
  | 'pack'
  /** From an upstream. */
  | 'fetch'
  /** From another store. */
  | 'sync'
  /** From a client of the server. */
  | 'upload'
  /** To a medium. */
  | 'export'
  /** On a person's request. */
  | 'remove'
  /** As garbage. */
  | 'gc'
  /** Moved to quarantine, because it is bad. */
  | 'repair'
  /** A good copy replaced a bad or missing object. */
  | 'heal';

/** A recorded event; its members depend on the action. */
export interface LogEvent {
  readonly action: LogAction;
  readonly key?: Key | undefined;
  /** The added or removed entry; absent for a blob alone. */
  readonly entry?: Digest | undefined;
  /** The added or removed blob, or the blob that the entry names. */
  readonly sha512?: Digest | undefined;
  readonly softwareUrl?: string | undefined;
  /** Size of the blob in bytes. */
  readonly size?: number | undefined;
  /** The origin: a file, a medium, another store, a URL. */
  readonly source?: string | undefined;
  /** The destination: a medium, the quarantine. */
  readonly target?: string | undefined;
  /** The reason, such as the fault of a repaired object, or the entry that superseded a removed entry. */
  readonly reason?: string | undefined;
}

/** A user of this machine, as far as the machine knows. */
export interface LocalActor {
  /** The user that the process runs as. */
  readonly user: string;
  /** The user who called `sudo`. */
  readonly sudoUser?: string | undefined;
  readonly host: string;
}

/** A client of the server. */
export interface RemoteActor {
  /** undefined without a proven identity. */
  readonly user: string | undefined;
  /** Address of the client. */
  readonly remote: string;
}

/** The log of a store: who did what and when, in one immutable object per record. */
export interface StoreLog {
  /**
   * Records an event after its change; a failure doesn't undo the change. Resolves when the record is on the disk.
   * @param client of the server that made the change; by default the user who runs this program
   * @throws CacheError `storage`, `no-space`: the event isn't recorded
   */
  record(event: LogEvent, client?: RemoteActor): Promise<void>;
  /** The names of all records, oldest first. @throws CacheError `storage` */
  list(): Promise<readonly string[]>;
  /** A record; undefined if it is missing. @throws DamagedObject; CacheError `storage` */
  read(name: string): Promise<LogRecord | undefined>;
  /** The records in the `custody.log` of earlier versions, oldest first; undefined for an invalid line. */
  oldRecords(): AsyncIterable<LogRecord | undefined>;
}

/** A record; other versions may know other actions and members. */
const logRecord = z.looseObject({
  /** ISO 8601, UTC. */
  at: z.iso.datetime(),
  who: z.looseObject({
    user: z.string().optional(),
    sudoUser: z.string().optional(),
    remote: z.string().optional(),
    host: z.string(),
  }),
  action: z.string(),
  key: z.string().optional(),
  entry: z.string().optional(),
  sha512: z.string().optional(),
  softwareUrl: z.string().optional(),
  size: z.number().optional(),
  source: z.string().optional(),
  target: z.string().optional(),
  reason: z.string().optional(),
});

export type LogRecord = z.infer<typeof logRecord>;

/** Who did it, for a person: `alice@192.0.2.7` of a client, `bob as root@master` of a command under sudo. */
export function actorOf({ who: { user, sudoUser, remote, host } }: LogRecord): string {
  if (remote !== undefined) return `${user ?? 'anonymous'}@${remote.replace(/^::ffff:/, '')}`;
  return `${sudoUser === undefined ? '' : `${sudoUser} as `}${user ?? ''}@${host}`;
}

/** UTF-16 units, each six bytes at most. Longer texts from outside are cut; the key still identifies the URL. */
const TEXT_LIMIT = 2000;
/** Largest record, and longest line of an old log, in bytes. */
const RECORD_LIMIT = 128 * 1024;

export interface StoreLogOptions {
  /** The user who runs this program. */
  readonly who: LocalActor;
  readonly now?: () => Date;
  /** Called for each event of this program that can't be recorded; then `record` does not reject. A client's event rejects. */
  readonly onUnrecorded?: ((event: LogEvent, error: CacheError) => void) | undefined;
}

/** The log of the store whose objects are in `storage`. */
export function createStoreLog(
  storage: ObjectStorage,
  { who, now = () => new Date(), onUnrecorded }: StoreLogOptions,
): StoreLog {
  // A random start, so that two processes don't take the same name.
  let count = randomInt(500_000);
  return {
    async record(event, client) {
      const at = now();
      const text = formatRecord(at, client === undefined ? who : { ...client, host: who.host }, event);
      try {
        await writeSmallObject(storage, recordName(at, count++, digestOf(text)), text);
      } catch (error) {
        if (onUnrecorded === undefined || client !== undefined || !(error instanceof CacheError)) throw error;
        onUnrecorded(event, error);
      }
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

/** No decision depends on the time: machines without a network often have a wrong clock. */
function formatRecord(
  at: Date,
  who: LocalActor | (RemoteActor & Pick<LocalActor, 'host'>),
  { action, key, entry, sha512, softwareUrl, size, source, target, reason }: LogEvent,
): string {
  const members = { action, key, entry, sha512, softwareUrl, size, source, target, reason };
  return formatOneLine({ at: at.toISOString(), who, ...members });
}

/** A record as one line of JSON that is harmless on a terminal. */
export function formatOneLine(record: object): string {
  const text = JSON.stringify(record, (_name, value: unknown) =>
    typeof value === 'string' && value.length > TEXT_LIMIT ? `${value.slice(0, TEXT_LIMIT - 1)}…` : value,
  );
  // JSON leaves these unescaped; terminals act on some of them, and some programs end lines at others.
  return text.replace(
    /[\u007f-\u009f\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}

function parseWholeRecord(name: string, text: string): LogRecord {
  const record = parseRecord(text);
  if (record === undefined || parseRecordName(name)?.digest !== digestOf(text).slice(0, 16))
    throw new DamagedObject(name, 'it is not what was written');
  return record;
}

function parseRecord(text: string): LogRecord | undefined {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
  return logRecord.safeParse(value).data;
}

/** The lines of a text object without their newlines; none if it is missing. @throws CacheError `storage` */
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
