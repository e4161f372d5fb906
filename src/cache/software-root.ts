import { quoteBriefly } from './digest.ts';
import { CacheError } from './errors.ts';

/** Where SlapOS builds software releases, and nodes unpack them, unless they are configured otherwise. */
export const SOFTWARE_ROOT = '/opt/slapgrid';

/** A software root as a person writes it: it is signed, and nodes have no folder that it could be relative to. @throws CacheError `usage` */
export function parseSoftwareRoot(text: string): string {
  if (text.startsWith('/')) return text;
  throw new CacheError(
    'usage',
    `not an absolute path: ${quoteBriefly(text)}; write it from the root, such as ${SOFTWARE_ROOT}`,
  );
}
