/**
 * Access for upkeep to all files of a store, including strays, and ways to hide or quarantine them. Paths are relative
 * to the store, joined by `/`, and may hold any characters; faults are `CacheError` `storage`, with the system's error
 * as their cause, if any.
 */
export interface StoreUpkeep {
  /** The items of a folder, in no order; none if the folder is missing. `''` is the store's own folder. */
  list(folder: string): AsyncIterable<FolderItem>;
  /**
   * When a name was last added to a folder or removed from it, in milliseconds since 1970; undefined if the folder is
   * missing. A location that does not know it omits this.
   */
  modified?(folder: string): Promise<number | undefined>;
  /** Why the store's owner can't use the file or folder at `path`; undefined without a fault, or if it is missing. */
  ownerFault(path: string): Promise<string | undefined>;
  /** Paths of leftovers of killed writers. */
  leftovers(): AsyncIterable<string>;
  removeLeftover(path: string): Promise<void>;
  readonly quarantine: Quarantine;
  /**
   * Hides an object, to be put back or removed; undefined if it is missing. A crash leaves a hidden object as a
   * leftover, which is put back.
   */
  hide(name: string): Promise<HiddenObject | undefined>;
}

export interface FolderItem {
  readonly name: string;
  /** `other`: a symbolic link, a pipe, a device. A link in place of a folder of the store counts as a folder. */
  readonly type: 'file' | 'folder' | 'other';
}

/** Keeps bad files under their path, in a folder named after the time; never replaces a file there. */
export interface Quarantine {
  /** Moves the file or folder at `path`. @returns its new path; undefined if it is missing */
  move(path: string): Promise<string | undefined>;
  /**
   * Preserves the file at `path` before another file replaces it. The file stays in place, unless it can neither be
   * linked nor copied.
   * @returns as `move` does
   */
  keep(path: string): Promise<string | undefined>;
}

export interface HiddenObject {
  /** Bytes. */
  readonly size: number;
  /** Milliseconds since 1970. */
  readonly modified: number;
  /** Gives the object its name back, unless another object has it. */
  putBack(): Promise<void>;
  /** @returns false if another process took it for a leftover and put it back */
  remove(): Promise<boolean>;
}
