import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CacheError, systemCode } from '../cache/errors.ts';
import { makeStore } from '../storage/open-store.ts';
import { makeFolders } from '../storage/ownership.ts';
import { readIfThere, writeError, writeNew } from './files.ts';
import { ensureSigningKey, hasSigningKey } from './signing-key.ts';

/** The site folder that `cache init` found or made. */
export interface SiteFolder {
  readonly made: readonly string[];
  readonly kept: readonly string[];
  /** Whether it has a signing key. */
  readonly hasKey: boolean;
}

export interface SiteFolderOptions {
  /** Common name in the certificate. */
  readonly commonName?: string | undefined;
  /** PEM certificates for the `signature-certificate-list` of a new config.ini. */
  readonly trusted?: readonly string[];
  /**
   * Whether to make a signing key; a site that only receives signed entries needs none. An existing config.ini never
   * gets one, because its author may keep the key elsewhere.
   */
  readonly hasKey?: boolean;
}

/**
 * Makes a medium in `folder`: folders for archives and packages, a store, a signing key and a config.ini with
 * relative paths, so that it works at any mount point. Existing files are kept.
 * @throws CacheError `usage`, `config`, `storage`
 */
export async function makeSiteFolder(
  folder: string,
  { commonName, trusted = [], hasKey = true }: SiteFolderOptions = {},
): Promise<SiteFolder> {
  if (folder === '') throw new CacheError('usage', 'the folder of the medium has no name; write its path');
  const made: string[] = [];
  const kept: string[] = [];
  const note = (name: string, isNew: boolean): void => {
    (isNew ? made : kept).push(join(folder, name));
  };
  for (const name of ['software', 'packages', 'miscellaneous']) {
    note(name, await makeFolder(join(folder, name)));
  }
  const store = join(folder, 'store');
  note('store', await makeFolder(store));
  await makeStore(store);
  const privateKeyFile = join(folder, 'miscellaneous', 'sign.key');
  const certificateFile = join(folder, 'miscellaneous', 'sign.crt');
  const configFile = join(folder, 'config.ini');
  const hasConfig = (await readIfThere(configFile)) !== undefined;
  const files = { privateKeyFile, certificateFile };
  const isSigning = (hasKey && !hasConfig) || (await hasSigningKey(files));
  if (isSigning) {
    const isNew = await ensureSigningKey(files, commonName);
    note('miscellaneous/sign.key', isNew);
    note('miscellaneous/sign.crt', isNew);
  }
  if (!hasConfig) await writeNew(configFile, configOf({ trusted, hasKey }), 0o644);
  note('config.ini', !hasConfig);
  return { made, kept, hasKey: isSigning };
}

/** The config.ini of a medium or site, with paths relative to it. */
export function configOf({
  trusted,
  hasKey,
}: Required<Pick<SiteFolderOptions, 'trusted' | 'hasKey'>>): string {
  return `# Configuration of this cache; config.example.ini of the program documents every key.
# Relative paths are relative to this file: the medium can be mounted anywhere.

[server]
listen = [::]:5050

[store]
path = store

[signature]
${hasKey ? '' : NO_KEY}private-key-file = miscellaneous/sign.key
certificate-file = miscellaneous/sign.crt
${trusted.length === 0 ? '' : `# ${hasKey ? 'Also trusted' : 'Trusted'} certificates\n${formatTrusted(trusted)}\n`}
# Software URLs of archives that do not contain theirs: file name without extension = URL
[software]
`;
}

const NO_KEY = `# This site has no key, and imports only signed releases. To import archives, which are unsigned, make a key with
# "cache keygen"; nodes must then trust its certificate.
`;

/** Certificates in the format of config.ini's `[signature]`. */
function formatTrusted(certificates: readonly string[]): string {
  const lines = certificates.flatMap((pem) => pem.trim().split('\n'));
  return ['signature-certificate-list =', ...lines.map((line) => `    ${line}`)].join('\n');
}

async function makeFolder(path: string): Promise<boolean> {
  try {
    if ((await stat(path)).isDirectory()) return false;
    throw new CacheError('config', `${path} is not a folder; move it away`);
  } catch (error) {
    if (error instanceof CacheError) throw error;
    if (systemCode(error) === 'ENOTDIR')
      throw new CacheError('usage', `${path} would be inside a file; name a folder`, { cause: error });
    if (systemCode(error) !== 'ENOENT') throw writeError(path, error);
  }
  try {
    await makeFolders(path);
    return true;
  } catch (error) {
    throw writeError(path, error);
  }
}
