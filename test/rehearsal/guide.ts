import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { REPOSITORY } from './machine.ts';

/** A block of commands of a guide: who types it, and what. */
export interface Step {
  /** The machine. */
  readonly machine: string;
  /**
   * What the block needs that no rehearsal has, such as `Internet`; `values` for variables that a reader sets; `executable` or
   * `clone` for one form of the program.
   */
  readonly needs: string | undefined;
  readonly script: string;
  /** The heading above it. */
  readonly heading: string;
}

/** The blocks of a guide that a person types, in order: fenced as `sh`, with `# MACHINE` or `# MACHINE, NEEDS` on top. */
export async function readGuide(name: string): Promise<readonly Step[]> {
  const steps: Step[] = [];
  let heading = '';
  let block: string[] | undefined;
  for (const line of (await readFile(join(REPOSITORY, 'docs', name), 'utf8')).split('\n')) {
    if (block === undefined) {
      if (/^#+ /.test(line)) heading = line.replace(/^#+ /, '');
      if (line === '```sh') block = [];
    } else if (line === '```') {
      const [, machine, needs] = /^# (\w+)(?:, (\w+))?$/.exec(block[0] ?? '') ?? [];
      if (machine === undefined) throw new Error(`docs/${name}: a block under "${heading}" names no machine`);
      steps.push({ machine, needs, script: block.slice(1).join('\n'), heading });
      block = undefined;
    } else {
      block.push(line);
    }
  }
  return steps;
}

/** The assignments of a block, with other values for those that are given. Every one of `others` must be there. */
export function withValues(script: string, others: Readonly<Record<string, string>>): string {
  return script.replace(/^(\w+)=.*$/gm, (line, name: string) => {
    const other = others[name];
    return other === undefined ? line : `${name}='${other}'`;
  });
}
