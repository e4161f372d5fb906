import { join } from 'node:path';
import { withShortDigests } from '../../cache/digest.ts';
import { CacheError } from '../../cache/errors.ts';
import { quoteForShell } from '../../cache/shell.ts';
import { versionedNameOf } from '../../release/release-name.ts';
import { readIfThere } from '../files.ts';
import { blobOfFile, keyOfFile } from './damaged-object.ts';
import { PACKAGES_FOLDER, type Manifest } from './manifest.ts';

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

/** @param show what stands for a fault that is shown */
export function formatDamages(
  damages: readonly MediumFault[],
  show: (damage: MediumFault) => MediumFault = (damage) => damage,
): string {
  const lines = damages
    .slice(0, LINES)
    .map(show)
    .map(({ path, what }) => `  ${path}: ${what}`);
  return [...lines, ...(damages.length > LINES ? [`  and ${damages.length - LINES} more`] : [])].join('\n');
}

/** A medium does not match its manifest. */
export class DamagedMedium extends CacheError {
  constructor(message: string) {
    super('invalid-medium', message);
  }

  /** @param advice a remedy, one line */
  withAdvice(advice: string): DamagedMedium {
    return new DamagedMedium(`${this.message}\n${advice}`);
  }
}

/**
 * The error that refuses a medium. It names the damaged releases, and says if the cause is an unfinished export.
 * @param releases of the manifest
 */
export async function refusalOf(
  folder: string,
  damages: readonly MediumFault[],
  releases: Manifest['releases'],
): Promise<DamagedMedium> {
  const began = await readIfThere(join(folder, UNFINISHED_FILE)).catch(() => undefined);
  return new DamagedMedium(
    [
      `${folder} does not match its manifest; nothing was imported:`,
      formatDamages(damages, (damage) => named(damage, releases)),
      ...(began === undefined
        ? adviceFor(folder, damages)
        : [
            'An export to it did not finish. Where it was made, run the same cache export again: it goes on where it stopped',
          ]),
    ].join('\n'),
  );
}

/** The fault of a release instead of a file, where the manifest tells which release it is. */
function named(fault: MediumFault, releases: Manifest['releases']): MediumFault {
  const [key, blob] = [keyOfFile(fault), blobOfFile(fault)];
  const [release, ...others] = releases.filter((one) => one.key === key || one.sha512 === blob?.sha512);
  if (release === undefined) return fault;
  const { url, platform } = release;
  const name = url === undefined ? release.key : (versionedNameOf(url) ?? url);
  // An entry that can't be read is for any of the platforms.
  const shown = key !== undefined && others.length > 0 ? undefined : platform;
  return {
    path: shown === undefined ? name : `${name}, ${shown}`,
    what: `${blob?.what ?? 'entry'} ${fault.what} (${withShortDigests(fault.path)})`,
  };
}

/** An export can rewrite its own files, and refuses to touch any others. */
function adviceFor(folder: string, damages: readonly MediumFault[]): readonly string[] {
  const listed = damages.filter(({ isExtra = false }) => !isExtra);
  const hasExtra = listed.length < damages.length;
  return [
    ...(hasExtra ? ['Nobody has signed for what is not in the manifest: remove it, and import again'] : []),
    ...(listed.length > 0
      ? [
          `${hasExtra ? 'The rest' : 'It'} was changed, cut off or mixed with another after its export. Where it was made, ${remedyOf(listed, quoteForShell(folder))}`,
        ]
      : []),
  ];
}

/**
 * How to replace damage where the medium was made: an export has the releases, and signs packages as they are.
 * @param medium its folder in the command
 */
export function remedyOf(damages: readonly MediumFault[], medium: string): string {
  const command = `cache export --recheck ${medium}`;
  return damages.some(({ path, isExtra = false }) => !isExtra && path.startsWith(`${PACKAGES_FOLDER}/`))
    ? `copy the original files to ${PACKAGES_FOLDER}/, then run: ${command}`
    : `this replaces the damage: ${command}`;
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
