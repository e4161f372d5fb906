import { formatTable } from '../../src/cli/terminal/table.ts';
import type { Row, Unit } from './bench-case.ts';
import type { Machine } from './machine.ts';
import { clientBoundOf, cpuCostOf, peakRssOf, type CaseResult, type RowResult, type Runs } from './result.ts';

const HEADINGS = [
  ...['CASE', 'OURS', 'MIN', 'MAX', 'UNIT', 'AGAINST', 'ITS', 'RATIO', 'TARGET', 'OK'],
  ...['CPU', 'ITS CPU', 'PEAK RSS'],
];

/** The machine, the table, and what a person must know to read it. */
export function formatResults(
  machine: Machine,
  results: readonly CaseResult[],
  { isSmoke }: { readonly isSmoke: boolean },
): string {
  const lines = [
    ...notesOnMachine(machine),
    ...(isSmoke ? ['Run with --smoke: the sizes are not those that the targets are told for.'] : []),
    '',
    formatTable(HEADINGS, results.flatMap(linesOf).map(padded)),
  ];
  const notes = results.flatMap(notesOn);
  if (notes.length > 0) lines.push('', ...notes);
  lines.push(
    '',
    'OURS and ITS are medians of the rounds, RATIO is ours by theirs, the median of the rounds. CPU is of the process',
    'under load: seconds a GiB, or microseconds a request. AGAINST is the best of the others in this row.',
  );
  return lines.join('\n');
}

function notesOnMachine({
  date,
  processor,
  cores,
  memory,
  kernel,
  node,
  nginx,
  load,
}: Machine): readonly string[] {
  const lines = [
    `${date}, ${processor}, ${cores} cores, ${Math.round(memory / 2 ** 30)} GiB, Linux ${kernel}, node ${node}, ` +
      (nginx === undefined ? 'no nginx' : `nginx ${nginx}`),
  ];
  if (load > 0.5)
    lines.push(
      `The machine was busy before the bench began (load ${load.toFixed(1)}): the figures mean little.`,
    );
  if (nginx === undefined)
    lines.push('nginx is missing (apt install nginx-light): there is nothing to compare the server with.');
  return lines;
}

/** A row that is too short would be followed by an empty line. */
function padded(cells: readonly string[]): readonly string[] {
  return HEADINGS.map((_, index) => cells[index] ?? '');
}

function linesOf({ name, rows, runs, leftOut, failed }: CaseResult): readonly (readonly string[])[] {
  if (leftOut !== undefined) return [[name, 'left out']];
  if (failed !== undefined) return [[name, 'FAILED']];
  return rows.map((row, index) => [
    `${name}: ${row.label}`,
    ...figuresOf(row),
    // The same for all rows of a case.
    ...(index === 0 ? usageOf(row, runs) : []),
  ]);
}

function figuresOf({ unit, ours, rival, ratio, target, isMet }: RowResult): readonly string[] {
  return [
    ...[ours.median, ours.min, ours.max].map((value) => formatValue(value, unit)),
    unit,
    rival?.name ?? '–',
    rival === undefined ? '–' : formatValue(rival.median, unit),
    ratio === undefined ? '–' : ratio.toFixed(2),
    formatTarget({ unit, target }),
    isMet === undefined ? '–' : isMet ? 'yes' : 'NO',
  ];
}

function usageOf({ rival }: RowResult, runs: readonly Runs[]): readonly string[] {
  const [ours, ...others] = runs;
  const peak = ours === undefined ? undefined : peakRssOf(ours);
  return [
    formatCpu(ours),
    formatCpu(others.find(({ name }) => name === rival?.name)),
    peak === undefined ? '' : `${Math.round(peak / 2 ** 20)} MiB`,
  ];
}

function formatCpu(runs: Runs | undefined): string {
  const cpu = runs === undefined ? undefined : cpuCostOf(runs);
  if (cpu === undefined) return '';
  return cpu.unit === 'GiB' ? `${cpu.cost.toFixed(2)} s/GiB` : `${cpu.cost.toFixed(1)} µs/req`;
}

function formatTarget({ unit, target }: { unit: Unit; target: Row['target'] }): string {
  if (target === undefined) return '–';
  const sign = target.is === 'at least' ? '≥' : '≤';
  return target.of === 'ratio'
    ? `${sign} ${target.value} ×`
    : `${sign} ${formatValue(target.value, unit)} ${unit}`;
}

function formatValue(value: number, unit: Unit): string {
  switch (unit) {
    case 'MB/s':
    case 'requests/s':
    case 'MiB':
      return value.toFixed(0);
    case 's':
    case 'CPU s/GiB':
      return value.toFixed(2);
    case 'ms':
      return value < 10 ? value.toFixed(2) : value.toFixed(0);
  }
}

function notesOn({ name, summary, runs, leftOut, failed }: CaseResult): readonly string[] {
  if (leftOut !== undefined) return [`${name} (${summary}) was left out: ${leftOut}`];
  if (failed !== undefined) return [`${name} (${summary}) failed: ${failed}`];
  return runs.flatMap((contender) => {
    const bound = clientBoundOf(contender);
    return bound === undefined
      ? []
      : [
          `${name}: ${contender.name} was faster than the client, which was busy ${bound.client.toFixed(2)} of its core, the server ${bound.server.toFixed(2)}.`,
        ];
  });
}
