import { quoteBriefly } from './digest.ts';
import { CacheError } from './errors.ts';

/** The default folder where SlapOS builds software releases and nodes unpack them. */
export const SOFTWARE_ROOT = '/opt/slapgrid';

/** Parses a software root, which must be absolute because nodes use it, too. @throws CacheError `usage` */
export function parseSoftwareRoot(text: string): string {
  if (text.startsWith('/')) return text;
  throw new CacheError(
    'usage',
    `not an absolute path: ${quoteBriefly(text)}; write it from the root, such as ${SOFTWARE_ROOT}`,
  );
}
