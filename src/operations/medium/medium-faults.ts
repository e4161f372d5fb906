import { join } from 'node:path';
import { CacheError } from '../../cache/errors.ts';
import { quoteForShell } from '../../cache/shell.ts';
import { readIfThere } from '../files.ts';

/** One fault of a medium. */
export interface MediumFault {
  /** Path of the file on the medium. */
  readonly path: string;
  readonly what: string;
  /** Whether the file exists but is not in the manifest. */
  readonly isExtra?: boolean;
}

/** Marks a medium while an export writes to it. */
export const UNFINISHED_FILE = 'export-unfinished.json';

/** As many lines as a person reads. */
const LINES = 20;

export function formatDamages(damages: readonly MediumFault[]): string {
  const lines = damages.slice(0, LINES).map(({ path, what }) => `  ${path}: ${what}`);
  return [...lines, ...(damages.length > LINES ? [`  and ${damages.length - LINES} more`] : [])].join('\n');
}

/** A medium is not as its manifest says. */
export class DamagedMedium extends CacheError {
  constructor(message: string) {
    super('invalid-medium', message);
  }

  /** @param advice a remedy, one line */
  withAdvice(advice: string): DamagedMedium {
    return new DamagedMedium(`${this.message}\n${advice}`);
  }
}

/** The error that refuses a medium. It says if the cause is an unfinished export. */
export async function refusalOf(folder: string, damages: readonly MediumFault[]): Promise<DamagedMedium> {
  const began = await readIfThere(join(folder, UNFINISHED_FILE)).catch(() => undefined);
  return new DamagedMedium(
    [
      `${folder} is not as its manifest says; nothing of it was taken:`,
      formatDamages(damages),
      ...(began === undefined
        ? adviceFor(folder, damages)
        : [
            'An export to it did not finish. Where it was made, run the same cache export again: it goes on where it stopped',
          ]),
    ].join('\n'),
  );
}

/** An export can rewrite its own files, and refuses to touch any others. */
function adviceFor(folder: string, damages: readonly MediumFault[]): readonly string[] {
  const extra = damages.filter(({ isExtra }) => isExtra).length;
  const isReplaceable = extra < damages.length;
  return [
    ...(extra > 0 ? ['Nobody has signed for what is not in the manifest: remove it, and import again'] : []),
    ...(isReplaceable
      ? [
          `${extra > 0 ? 'The rest' : 'It'} was changed, cut off or mixed with another after its export. Where it was made, this replaces the damage: cache export --recheck ${quoteForShell(folder)}`,
        ]
      : []),
  ];
}

/** @throws CacheError `invalid-medium` if a medium that will be signed has any fault */
export function checkIsSound(folder: string, damages: readonly MediumFault[]): void {
  if (damages.length === 0) return;
  throw new CacheError(
    'invalid-medium',
    [
      `${folder} holds what can't be vouched for; nothing was changed on it:`,
      formatDamages(damages),
      'Export the releases that these belong to as well, or move the files away, or use another medium. If they were removed on purpose, remove manifest.json, too: what is there is then read and taken as it is',
    ].join('\n'),
  );
}
