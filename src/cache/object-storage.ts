/**
 * The one low port: where bytes are kept. The blobs and the directory are written once, over this.
 *
 * Every implementation promises: **an object is there whole or not at all**. A crash at any moment, or a second
 * writer, never shows a part of an object, and a write that was answered survives a loss of power.
 *
 * Names are relative paths of `[A-Za-z0-9._%=+-]` segments joined by `/` (layout.ts makes them).
 * Faults are `CacheError` `storage`; only "there is no such object" is `undefined`. No room is `no-space`.
 */
export interface ObjectStorage {
  /** The object's size and age without opening it. */
  stat(name: string): Promise<ObjectStat | undefined>;
  /** Opens for reading. What was opened stays readable when the object is removed or replaced meanwhile. */
  open(name: string): Promise<OpenObject | undefined>;
  /**
   * Begins an object; it has a name only once it's whole.
   * @param size in bytes where it is known: checked against the free room before anything is written
   * @param holder the client on whose behalf it is written: none gets room for what hasn't come, or keeps it from others
   */
  create(size?: number, holder?: string): Promise<ObjectWriter>;
  /** The names of all objects that begin with `prefix`, which ends in `/`; in no order, but those of a folder together. */
  list(prefix: string): AsyncIterable<string>;
  /**
   * Makes sure that an object that was found survives a loss of power: another writer may have given it its name a moment
   * ago, or have failed just after that. Cheap where this process knows it already.
   * @returns whether the object is there
   */
  ensureDurable(name: string): Promise<boolean>;
  /** When it resolves, the object is gone for good. @returns whether it was there */
  remove(name: string): Promise<boolean>;
}

export interface ObjectStat {
  /** Bytes. */
  readonly size: number;
  /** Milliseconds since 1970. */
  readonly modified: number;
}

export interface OpenObject extends ObjectStat {
  /**
   * Fills `into` from `position` on as far as the object goes.
   * @returns the number of bytes read; 0 at the end
   */
  read(into: Uint8Array, position: number): Promise<number>;
  /** To be called once, always. */
  close(): Promise<void>;
}

export interface ObjectWriter {
  /** Resolves when the chunks may be reused. Many small ones are best written at once. */
  write(chunks: readonly Uint8Array[]): Promise<void>;
  /** Makes the object durable and visible under `name`, in place of one that is there. */
  commit(name: string): Promise<void>;
  /** Forgets what was written. May be called at any time, also after `commit`: then it does nothing. */
  abort(): Promise<void>;
}
