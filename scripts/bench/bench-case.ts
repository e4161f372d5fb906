import type { Program } from './process/programs.ts';
import type { Usage } from './process/usage.ts';
import type { Workbench } from './workbench.ts';

/** A situation that is measured: ours against others, in the same run on the same machine. */
export interface BenchCase {
  /** For `--case`. */
  readonly name: string;
  readonly summary: string;
  /** Without these the case is left out. */
  readonly needs: readonly Program[];
  /**
   * Makes what the case needs.
   * @throws LeftOut when it can't be measured here
   */
  prepare(bench: Workbench): Promise<Match>;
}

/** Who is measured, and which of the figures count. */
export interface Match {
  /** Ours is the first one. Each round runs all of them in turn. */
  readonly contenders: readonly [Contender, ...Contender[]];
  readonly rows: readonly Row[];
  /** Whether each contender has a shorter run first that doesn't count. */
  readonly warmUp: boolean;
  /** Takes away what only this case needed. */
  readonly end?: () => Promise<void>;
}

export interface Contender {
  readonly name: string;
  /** @param seconds how long a load that can have any length runs */
  run(seconds: number): Promise<Sample>;
}

/** What one run of one contender gave. */
export interface Sample {
  /** By the names that the rows know, in their units. */
  readonly figures: Readonly<Record<string, number>>;
  readonly usage?: Usage;
}

export type Unit = 'MB/s' | 'requests/s' | 's' | 'ms' | 'MiB' | 'CPU s/GiB';

/** A line of the table. */
export interface Row {
  readonly label: string;
  readonly figure: string;
  readonly unit: Unit;
  /** Left out where the figure is only shown. */
  readonly target?: Target;
}

export type Target =
  /** Ours divided by the best other's of the same round. */
  | { readonly of: 'ratio'; readonly is: 'at least' | 'at most'; readonly value: number }
  /** In the row's unit. */
  | { readonly of: 'value'; readonly is: 'at least' | 'at most'; readonly value: number };

/** The case can't be measured here and now; the message is the reason. */
export class LeftOut extends Error {}

export function isHigherBetter(unit: Unit): boolean {
  return unit === 'MB/s' || unit === 'requests/s';
}
