import { digestOf, type Digest } from './digest.ts';
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

/** The port: where it is kept what was done to the store, by whom and when. Only ever appended to. */
export interface CustodyLog {
  /**
   * Appends one event; to be called after the change, which then stands. Resolves when the line is on the disk. Calls
   * that come together are written together.
   * @param client for whom the server did it; who runs this program, unless told
   * @throws CacheError `storage`, `no-space`: the event isn't recorded
   */
  record(event: CustodyEvent, client?: RemoteActor): Promise<void>;
  /**
   * All lines from the first to the last, each with its newline; the last one may be cut off. None where nothing was
   * ever recorded.
   * @throws CacheError `storage`
   */
  lines(): AsyncIterable<Uint8Array>;
}

/** What the first line names as the one before it: the digest of nothing. */
export const FIRST_PREVIOUS = digestOf('');

/** Longer texts from outside are cut: the key still tells which URL it was. In UTF-16 units; with each as six bytes, a line stays below 128 KiB. */
const TEXT_LIMIT = 2000;

export interface CustodyLineParts {
  /** sha512 of all bytes of the line before, without its newline; `FIRST_PREVIOUS` for the first line. */
  readonly previous: Digest;
  /** Bytes of the line before, where that had no end: its writer was interrupted, and a newline was put after it. */
  readonly cutOff?: number | undefined;
  readonly at: Date;
  readonly who: LocalActor | (RemoteActor & Pick<LocalActor, 'host'>);
  readonly event: CustodyEvent;
}

/**
 * A line, without its newline. `previous` comes first: so even a line that was cut off can be seen to belong where it is.
 */
export function formatCustodyLine({ previous, cutOff, at, who, event }: CustodyLineParts): string {
  const { action, key, entry, sha512, softwareUrl, size, source, target, reason } = event;
  const members = {
    previous,
    cutOff,
    at: at.toISOString(),
    who,
    ...{ action, key, entry, sha512, softwareUrl, size, source, target, reason },
  };
  const text = JSON.stringify(members, (_name, value: unknown) =>
    typeof value === 'string' && value.length > TEXT_LIMIT ? `${value.slice(0, TEXT_LIMIT - 1)}…` : value,
  );
  // JSON lets these through; terminals act on some, and some programs take others for the end of a line.
  return text.replace(
    /[\u007f-\u009f\u2028\u2029]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
}
