import type { Digest } from '../../cache/digest.ts';
import type { Key } from '../../cache/key.ts';
import { DIRECTORY, digestOfBlobName, parseEntryName, parsePartName } from '../../cache/layout.ts';
import { nameInStore, STORE_FOLDER } from './manifest.ts';

/** A file of a medium; `isExtra`: the manifest does not list it. */
interface ListedFile {
  readonly path: string;
  readonly isExtra?: boolean;
}

/** The key of the entry in a listed file. */
export function keyOfFile({ path, isExtra = false }: ListedFile): Key | undefined {
  const name = nameInStore(path);
  if (isExtra || !path.startsWith(`${STORE_FOLDER}/${DIRECTORY}`)) return undefined;
  return parseEntryName(name)?.key;
}

/** The blob in a listed file; `what` is `blob`, or `part N of blob`. */
export function blobOfFile({
  path,
  isExtra = false,
}: ListedFile): { readonly sha512: Digest; readonly what: string } | undefined {
  const name = nameInStore(path);
  if (isExtra || !path.startsWith(`${STORE_FOLDER}/`)) return undefined;
  const part = parsePartName(name);
  if (part !== undefined) return { sha512: part.digest, what: `part ${part.index} of blob` };
  const sha512 = digestOfBlobName(name);
  return sha512 && { sha512, what: 'blob' };
}
