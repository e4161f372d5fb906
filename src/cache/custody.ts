import { z } from 'zod';
import type { Digest } from './digest.ts';
import type { Key } from './key.ts';

/** What can be done to a store. */
export type CustodyAction =
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
  /** Because a person named it. */
  | 'remove'
  /** As garbage. */
  | 'gc'
  /** Moved to quarantine, because it is bad. */
  | 'repair'
  /** A good copy in place of a bad or missing one. */
  | 'heal';

/** One thing that was done. What is told of it beside the action depends on the action. */
export interface CustodyEvent {
  readonly action: CustodyAction;
  readonly key?: Key | undefined;
  /** The entry that came or went; left out where it's a blob alone. */
  readonly entry?: Digest | undefined;
  /** The blob: the one that came or went, or that the entry names. */
  readonly sha512?: Digest | undefined;
  readonly softwareUrl?: string | undefined;
  /** Size of the blob in bytes. */
  readonly size?: number | undefined;
  /** Where it came from: a file, a medium, another store, a URL. */
  readonly source?: string | undefined;
  /** Where it went: a medium, the quarantine. */
  readonly target?: string | undefined;
  /** Why, where it is not plain: what was wrong with what was repaired, what superseded what was removed. */
  readonly reason?: string | undefined;
}

/** Who does something at this machine, as far as the machine can tell. */
export interface LocalActor {
  /** The user that the process runs as. */
  readonly user: string;
  /** Whom `sudo` says it works for. */
  readonly sudoUser?: string | undefined;
  readonly host: string;
}

/** Who does something through the server. */
export interface RemoteActor {
  /** undefined: nobody proved who they are. */
  readonly user: string | undefined;
  /** Address of the client. */
  readonly remote: string;
}

/** What was done to a store, by whom and when: an object for each record, which nobody changes. */
export interface CustodyLog {
  /**
   * Records one event; to be called after the change, which then stands. Resolves when the record is on the disk.
   * @param client for whom the server did it; without, who runs this program
   * @throws CacheError `storage`, `no-space`: the event isn't recorded
   */
  record(event: CustodyEvent, client?: RemoteActor): Promise<void>;
  /** The names of all records, the oldest first. @throws CacheError `storage` */
  list(): Promise<readonly string[]>;
  /** A record; undefined when it isn't there. @throws DamagedObject when it is not what was written; CacheError `storage` */
  read(name: string): Promise<CustodyRecord | undefined>;
  /** The lines of the `custody.log` that earlier versions wrote, the oldest first; undefined for a line that is no record. */
  oldRecords(): AsyncIterable<CustodyRecord | undefined>;
}

/** What a record holds. Other versions may know other actions and members. */
export const custodyRecord = z.looseObject({
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

export type CustodyRecord = z.infer<typeof custodyRecord>;
