import { ELF_START_SIZE, parseElfHeader } from './elf.ts';

/** Finds out from the programs of a software release which machine it is for. */
export interface MultiarchVote {
  /** Counts a file. `folder` is the release's own folder it is in (`bin`, `parts`, …), `start` its first bytes. */
  add(folder: string, start: Buffer): void;
  /** The multiarch of most programs, undefined when there is none. */
  result(): string | undefined;
  /** The multiarch when it is clear before all files were seen: several programs of this system, all for one machine. */
  early(): string | undefined;
}

/** How many programs must agree: the first files of a release may well be firmware for other machines. */
const EARLY_VOTES = 3;

/** How many bytes of a file's start `add` wants. */
export const VOTE_SIZE = ELF_START_SIZE;

/** Where the programs are that were built here; eggs and caches may hold files for other machines. */
const BUILT = new Set(['bin', 'parts']);

/**
 * The programs and shared libraries of `bin/` and `parts/` decide alone when there are any, then other linked objects
 * there, then those elsewhere, then relocatable objects; the more frequent machine wins, and the one seen first when they are equal.
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
