import { ELF_START_SIZE, parseElfHeader } from './elf.ts';

/** Determines the machine of a software release from its programs. */
export interface MultiarchVote {
  /** Counts a file. `folder` is its folder in the release (`bin`, `parts`, …), `start` its first bytes. */
  add(folder: string, start: Buffer): void;
  /** The multiarch of most programs; undefined if there are none. */
  result(): string | undefined;
  /** The multiarch, if the first programs all agree. */
  early(): string | undefined;
}

/** Programs that must agree: the first files of a release may be firmware for other machines. */
const EARLY_VOTES = 3;

/** Bytes of a file's start that `add` needs. */
export const VOTE_SIZE = ELF_START_SIZE;

/** The folders of programs that were built for the node; eggs and caches may hold files for other machines. */
const BUILT = new Set(['bin', 'parts']);

/**
 * The first of these groups that has any file decides: programs and shared libraries in `bin/` and `parts/`, other linked
 * objects there, linked objects elsewhere, relocatable objects. The most frequent machine wins; among equals, the first.
 */
export function createMultiarchVote(): MultiarchVote {
  const loaded = new Map<string, number>();
  const built = new Map<string, number>();
  const linked = new Map<string, number>();
  const relocatable = new Map<string, number>();
  return {
    add(folder, start) {
      const elf = parseElfHeader(start);
      if (elf?.multiarch === undefined) return;
      const inBuilt = elf.dynamic ? loaded : built;
      const votes = !elf.linked ? relocatable : BUILT.has(folder) ? inBuilt : linked;
      votes.set(elf.multiarch, (votes.get(elf.multiarch) ?? 0) + 1);
    },
    early() {
      const [first, ...others] = loaded;
      return first !== undefined && others.length === 0 && first[1] >= EARLY_VOTES ? first[0] : undefined;
    },
    result: () => winner(loaded) ?? winner(built) ?? winner(linked) ?? winner(relocatable),
  };
}

function winner(votes: ReadonlyMap<string, number>): string | undefined {
  return [...votes].sort(([, a], [, b]) => b - a)[0]?.[0];
}
