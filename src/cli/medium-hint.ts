import { dirname, join, resolve } from 'node:path';
import { quoteForShell } from '../cache/shell.ts';
import { isAccessible } from '../operations/files.ts';
import type { Site } from '../operations/site.ts';

/**
 * Warns of a medium whose own configuration or key is not used: nodes that trust the medium's certificate would not trust
 * archives signed here with another key.
 */
export async function hintAtMedium(paths: readonly string[], { config, messages }: Site): Promise<void> {
  const folders = new Set(paths.flatMap((path) => [resolve(path), dirname(resolve(path))]));
  for (const folder of folders) {
    const configFile = join(folder, 'config.ini');
    if (configFile !== config.file && (await isAccessible(configFile))) {
      messages.tell(
        `note: the medium's own ${configFile} is not used; to sign with its key: -c ${quoteForShell(configFile)}`,
      );
      return;
    }
    const key = join(folder, 'miscellaneous', 'sign.key');
    if (key !== config.signature.privateKeyFile && (await isAccessible(key))) {
      messages.tell(
        `note: the medium's own key ${key} is not used; to use it, make a config.ini for the medium with: cache init ${quoteForShell(folder)}`,
      );
      return;
    }
  }
}

/** Warns of a signing key on a medium. */
export async function hintAtKey(medium: string, { messages }: Site): Promise<void> {
  const key = join(medium, 'miscellaneous', 'sign.key');
  if (await isAccessible(key))
    messages.tell(
      `note: ${key} travels with the medium, and its holder decides what nodes run as root; move it away`,
    );
}
