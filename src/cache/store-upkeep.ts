/**
 * What looking after a store needs beside its objects: what stands in its folders as it is, right or wrong, and ways to
 * put something aside. Paths are relative to the store, joined by `/`; unlike names of objects they may hold anything.
 * Faults are `CacheError` `storage`, with the system's error as its cause where there was one.
 */
export interface StoreUpkeep {
  /** What stands in a folder, in no order; nothing when there is no such folder. `''` is the store's own. */
  list(folder: string): AsyncIterable<FolderItem>;
  /** Why the owner of the store can't use what stands at `path`; undefined when he can, and where nothing stands. */
  ownerFault(path: string): Promise<string | undefined>;
  /** Paths of what writers left that were killed. */
  leftovers(): AsyncIterable<string>;
  removeLeftover(path: string): Promise<void>;
  readonly quarantine: Quarantine;
  /**
   * Takes an object out of sight, to be put back or removed; undefined when it isn't there. What a crash leaves of it is
   * a leftover, which goes back.
   */
  hide(name: string): Promise<HiddenObject | undefined>;
}

export interface FolderItem {
  readonly name: string;
  /** `other`: a symbolic link, a pipe, a device. A link to one of the store's own folders counts as that folder. */
  readonly type: 'file' | 'folder' | 'other';
}

/** Where what is bad goes: it is kept under its path, in a folder that tells when, and nothing in there is ever replaced. */
export interface Quarantine {
  /** Moves whatever stands at `path`. @returns its new path, undefined when nothing stands there any more */
  move(path: string): Promise<string | undefined>;
  /**
   * Makes sure that whatever stands at `path` outlives that something else is moved there. It stays where it is
   * meanwhile, unless it can neither be linked nor copied. @returns as `move` does
   */
  keep(path: string): Promise<string | undefined>;
}

export interface HiddenObject {
  /** Bytes. */
  readonly size: number;
  /** Milliseconds since 1970. */
  readonly modified: number;
  /** Back under its name, unless another object has come there. */
  putBack(): Promise<void>;
  /** @returns false where another process has taken it for left, and put it back */
  remove(): Promise<boolean>;
}
