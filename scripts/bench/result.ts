import { isHigherBetter, type Row, type Sample, type Target } from './bench-case.ts';
import type { Usage } from './process/usage.ts';

/** The runs of one contender, a sample a round. */
export interface Runs {
  readonly name: string;
  readonly samples: readonly Sample[];
}

/** What a case gave. */
export interface CaseResult {
  readonly name: string;
  readonly summary: string;
  /** Lines of the table; empty when the case was left out or failed. */
  readonly rows: readonly RowResult[];
  /** Everything that was measured, ours first. */
  readonly runs: readonly Runs[];
  /** Why it could not be measured here. */
  readonly leftOut?: string;
  /** What went wrong. */
  readonly failed?: string;
}

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

/** A line of the table, in the row's unit. */
export interface RowResult extends Row {
  readonly ours: Spread;
  /** The best of the others. */
  readonly rival?: Spread & { readonly name: string };
  /** Ours divided by the rival's of the same round; the median of the rounds. */
  readonly ratio?: number;
  /** Whether the target is met; left out where there is none, or nobody to compare with. */
  readonly isMet?: boolean;
}

/** @param runs ours first */
export function rowResultOf(row: Row, runs: readonly Runs[]): RowResult {
  const valuesOf = ({ samples }: Runs): readonly number[] =>
    samples.flatMap(({ figures }) => figures[row.figure] ?? []);
  const [own = [], ...others] = runs.map(valuesOf);
  const ours = spreadOf(own);
  const best = others
    .map((values, index) => ({ values, name: runs[index + 1]?.name ?? '', ...spreadOf(values) }))
    .filter(({ values }) => values.length > 0)
    .sort((a, b) => (isHigherBetter(row.unit) ? b.median - a.median : a.median - b.median))
    .at(0);
  if (best === undefined) return { ...row, ours, ...verdictOn(row.target, { value: ours.median }) };
  const { values, ...rival } = best;
  const ratio = medianOf(own.map((value, index) => value / (values[index] ?? NaN)));
  return { ...row, ours, rival, ratio, ...verdictOn(row.target, { value: ours.median, ratio }) };
}

function verdictOn(
  target: Target | undefined,
  measured: { readonly value: number; readonly ratio?: number },
): { isMet?: boolean } {
  const value = target === undefined ? undefined : measured[target.of];
  if (target === undefined || value === undefined) return {};
  return { isMet: target.is === 'at least' ? value >= target.value : value <= target.value };
}

function spreadOf(values: readonly number[]): Spread {
  return { median: medianOf(values), min: Math.min(...values), max: Math.max(...values) };
}

/** NaN of nothing. */
export function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? NaN;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2;
}

/** CPU seconds a GiB, or CPU microseconds a request: the median of the runs; undefined where nothing was told. */
export function cpuCostOf({
  samples,
}: Runs): { readonly cost: number; readonly unit: Usage['work']['unit'] } | undefined {
  const usages = samples.flatMap(({ usage }) => usage ?? []);
  const [first] = usages;
  if (first === undefined) return undefined;
  const { unit } = first.work;
  const scale = unit === 'GiB' ? 2 ** 30 : 1e6;
  return { cost: medianOf(usages.map(({ cpuSeconds, work }) => (cpuSeconds / work.amount) * scale)), unit };
}

/** The most memory of all runs, in bytes; undefined where nothing was told. */
export function peakRssOf({ samples }: Runs): number | undefined {
  const peaks = samples.flatMap(({ usage }) => usage?.peakRss ?? []);
  return peaks.length === 0 ? undefined : Math.max(...peaks);
}

/** A client this busy, before a server that isn't, is what was measured. */
const BUSY = 0.9;

/** Cores that server and client kept busy, where the client was the slower side. */
export function clientBoundOf({
  samples,
}: Runs): { readonly server: number; readonly client: number } | undefined {
  const usages = samples.flatMap(({ usage }) => usage ?? []);
  const server = medianOf(usages.map(({ serverCores }) => serverCores));
  const client = medianOf(usages.map(({ clientCores }) => clientCores));
  return client >= BUSY && server < BUSY ? { server, client } : undefined;
}
