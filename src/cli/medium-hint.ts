import { access } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import type { Site } from '../operations/site.ts';

/**
 * Tells of a medium that has a configuration or a key of its own which isn't used: nodes that trust the medium's
 * certificate would not trust what is signed here with another key.
 */
export async function hintAtMedium(paths: readonly string[], { config, messages }: Site): Promise<void> {
  const folders = new Set(paths.flatMap((path) => [resolve(path), dirname(resolve(path))]));
  for (const folder of folders) {
    const configFile = join(folder, 'config.ini');
    if (configFile !== config.file && (await isThere(configFile))) {
      messages.tell(
        `note: the medium's own ${configFile} is not used; to sign with its key: -c ${configFile}`,
      );
      return;
    }
    const key = join(folder, 'miscellaneous', 'sign.key');
    if (key !== config.signature.privateKeyFile && (await isThere(key))) {
      messages.tell(
        `note: the medium's own key ${key} is not used; to use it, make a config.ini for the medium with: cache init ${folder}`,
      );
      return;
    }
  }
}

/** Tells of a signing key that would travel with a medium. */
export async function hintAtKey(medium: string, { messages }: Site): Promise<void> {
  const key = join(medium, 'miscellaneous', 'sign.key');
  if (await isThere(key))
    messages.tell(
      `note: ${key} travels with the medium, and whoever has it decides what nodes run as root; move it away`,
    );
}

async function isThere(path: string): Promise<boolean> {
  try {
    await access(path);
    return true;
  } catch {
    return false; // Not there, or not for us: either way nothing to hint at.
  }
}
