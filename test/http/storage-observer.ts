import type { ObjectStorage, OpenObject } from '../../src/cache/object-storage.ts';

/** Watches what is read from a storage, and may hold it up or break it. */
export class StorageObserver {
  /** Names that were looked at, opened or listed. */
  readonly names: string[] = [];
  bytesRead = 0;
  /** Objects that are open just now. */
  openObjects = 0;
  /** Awaited before an object is opened. */
  beforeOpen: () => Promise<void> = () => Promise.resolve();
  /** Awaited before each piece is read; to throw is to be a disk that fails there. */
  beforeRead: (position: number) => Promise<void> = () => Promise.resolve();
  /** Added to the size of every object: more than 0 makes it end before its size. */
  surplus = 0;

  readonly wrap = (storage: ObjectStorage): ObjectStorage => ({
    ...storage,
    stat: (name) => {
      this.names.push(name);
      return storage.stat(name);
    },
    list: (prefix) => {
      this.names.push(prefix);
      return storage.list(prefix);
    },
    open: async (name) => {
      this.names.push(name);
      await this.beforeOpen();
      const object = await storage.open(name);
      return object === undefined ? undefined : this.#watch(object);
    },
  });

  #watch(object: OpenObject): OpenObject {
    this.openObjects += 1;
    return {
      size: object.size + this.surplus,
      modified: object.modified,
      read: async (into, position) => {
        await this.beforeRead(position);
        const count = await object.read(into, position);
        this.bytesRead += count;
        return count;
      },
      close: async () => {
        this.openObjects -= 1;
        await object.close();
      },
    };
  }
}
