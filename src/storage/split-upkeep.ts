import { BLOBS } from '../cache/layout.ts';
import type { HiddenObject, Quarantine, StoreUpkeep } from '../cache/store-upkeep.ts';
import { joinStats } from './joined-object.ts';
import type { SplitStorage } from './split-storage.ts';

/** Upkeep of a store that keeps large blobs in parts: hides, moves and lists a blob with all its parts. */
export function createSplitUpkeep(upkeep: StoreUpkeep, storage: SplitStorage): StoreUpkeep {
  const { quarantine } = upkeep;
  /** The names of a blob's files, the last part first: without it the others are no blob. */
  const namesOf = async (name: string): Promise<readonly string[]> => [
    name,
    ...(await storage.partsOf(name)).toReversed(),
  ];
  const withParts =
    (put: Quarantine['move']): Quarantine['move'] =>
    async (path) => {
      let last: string | undefined;
      for (const name of await namesOf(path)) last = (await put(name)) ?? last;
      return last;
    };

  return {
    ...upkeep,
    quarantine: {
      move: withParts((path) => quarantine.move(path)),
      keep: withParts((path) => quarantine.keep(path)),
    },
    async *list(folder) {
      yield* upkeep.list(folder);
      if (`${folder}/` !== BLOBS) return;
      for await (const name of storage.listSplit()) yield { name: name.slice(BLOBS.length), type: 'file' };
    },
    async hide(name) {
      const hidden: HiddenObject[] = [];
      try {
        for (const file of await namesOf(name)) {
          const one = await upkeep.hide(file);
          if (one !== undefined) hidden.push(one);
        }
      } catch (error) {
        await joinHidden(hidden).putBack();
        throw error;
      }
      return hidden.length > 1 ? joinHidden(hidden) : hidden[0];
    },
  };
}

function joinHidden(files: readonly HiddenObject[]): HiddenObject {
  return {
    ...joinStats(files),
    async putBack() {
      for (const file of files.toReversed()) await file.putBack();
    },
    async remove() {
      let isRemoved = true;
      for (const file of files) isRemoved = (await file.remove()) && isRemoved;
      return isRemoved;
    },
  };
}
