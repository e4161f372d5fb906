/**
 * The low port that keeps bytes; blobs and directory are built on it.
 *
 * Every implementation promises: **an object is there whole or not at all**, after a crash and with several writers. A
 * committed object survives a loss of power.
 *
 * Names are relative paths of `[A-Za-z0-9._%=+-]` segments joined by `/` (layout.ts makes them). Faults are
 * `CacheError` `storage`, `damaged` or `no-space`; only a missing object is `undefined`.
 */
export interface ObjectStorage {
  /** The object's size and age without opening it. */
  stat(name: string): Promise<ObjectStat | undefined>;
  /** Opens for reading. An open object stays readable after it is removed or replaced. */
  open(name: string): Promise<OpenObject | undefined>;
  /**
   * Begins an object, which gets its name when it is whole.
   * @param size in bytes, if known; checked against the free room before writing
   * @param holder the client that uploads it: no client gets room for bytes that it hasn't sent, or keeps room from
   * others
   */
  create(size?: number, holder?: string): Promise<ObjectWriter>;
  /** The names of all objects that begin with `prefix`, which ends in `/`; grouped by folder, otherwise in no order. */
  list(prefix: string): AsyncIterable<string>;
  /**
   * Makes an existing object survive a loss of power, because its writer may not have synced the name. Cheap if this
   * process knows the object to be durable.
   * @returns whether the object is there
   */
  ensureDurable(name: string): Promise<boolean>;
  /** Removes an object, which can't come back after a loss of power. @returns whether it was there */
  remove(name: string): Promise<boolean>;
}

export interface ObjectStat {
  /** Bytes. */
  readonly size: number;
  /** Milliseconds since 1970. */
  readonly modified: number;
}

export interface OpenObject extends ObjectStat {
  /** Whether its bytes come over a network and through foreign software, which may change them. */
  readonly isRemote?: boolean;
  /**
   * Reads bytes from `position` into `into`.
   * @returns the number of bytes read; 0 at the end
   */
  read(into: Uint8Array, position: number): Promise<number>;
  /** To be called once, always. */
  close(): Promise<void>;
}

export interface ObjectWriter {
  /** Resolves when the chunks may be reused; many small chunks are best written at once. */
  write(chunks: readonly Uint8Array[]): Promise<void>;
  /** Makes the object durable and visible under `name`; replaces an existing object. */
  commit(name: string): Promise<void>;
  /**
   * The same, unless an object has the name: of several writers one wins. Only for objects of less than a MiB.
   * @returns whether this object got the name
   */
  commitNew(name: string): Promise<boolean>;
  /** Discards the written bytes; does nothing after `commit`. */
  abort(): Promise<void>;
}
