import type { ObjectStorage } from '../../cache/object-storage.ts';
import type { Quarantine } from '../../cache/store-upkeep.ts';

/** A storage that replaces bad objects. */
export interface HealingStorage extends ObjectStorage {
  /** Hides an object from readers; its replacement moves it to quarantine. */
  condemn(name: string): void;
}

/** @param onKept receives each object moved to quarantine, and its path there */
export function createHealingStorage(
  storage: ObjectStorage,
  quarantine: Quarantine,
  onKept: (name: string, target: string) => void,
): HealingStorage {
  const condemned = new Set<string>();
  return {
    condemn: (name) => void condemned.add(name),
    stat: async (name) => (condemned.has(name) ? undefined : storage.stat(name)),
    open: async (name) => (condemned.has(name) ? undefined : storage.open(name)),
    list: (prefix) => storage.list(prefix),
    ensureDurable: (name) => storage.ensureDurable(name),
    remove: (name) => storage.remove(name),
    async create(size, holder) {
      const writer = await storage.create(size, holder);
      const commit = async (name: string): Promise<void> => {
        // Only now the new bytes are verified; readers get either the old ones or the new ones.
        const target = condemned.has(name) ? await quarantine.keep(name) : undefined;
        await writer.commit(name);
        condemned.delete(name);
        if (target !== undefined) onKept(name, target);
      };
      return {
        write: (chunks) => writer.write(chunks),
        abort: () => writer.abort(),
        commit,
        async commitNew(name) {
          if (!condemned.has(name)) return writer.commitNew(name);
          await commit(name);
          return true;
        },
      };
    },
  };
}
