/** How much of everything there is; bytes unless told. */
export interface Sizes {
  readonly large: number;
  readonly middle: number;
  readonly medium: number;
  /** How many. */
  readonly releases: number;
  readonly manyEntries: number;
  /** Releases in the store whose index is measured. */
  readonly indexEntries: number;
  readonly slowClients: number;
}

const MIB = 2 ** 20;

/** What the targets are told for. */
export const FULL: Sizes = {
  large: 1024 * MIB,
  middle: 96 * MIB,
  medium: 300e6,
  releases: 1000,
  manyEntries: 1_000_000,
  indexEntries: 100_000,
  slowClients: 200,
};

/** Enough to see whether the bench works. */
export const SMOKE: Sizes = {
  large: 64 * MIB,
  middle: 16 * MIB,
  medium: 20e6,
  releases: 50,
  manyEntries: 10_000,
  indexEntries: 5_000,
  slowClients: 20,
};
