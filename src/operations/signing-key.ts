import { createKeyPair } from '../cache/certificate.ts';
import { CacheError } from '../cache/errors.ts';
import { createSigner, type Signer } from '../cache/signature.ts';
import { keepDurable, readIfThere, writeNew } from './files.ts';

/** Ten years, as in the guide. */
const KEY_DAYS = 3653;
/** The common name in the guide. */
const DEFAULT_COMMON_NAME = 'ShaCache Signing Cert';

export interface KeyFiles {
  readonly privateKeyFile: string;
  readonly certificateFile: string;
}

/**
 * Makes a signing key and its certificate; keeps an existing, matching pair.
 * @returns whether it was made
 * @throws CacheError `config` if only one of the files exists, or they don't match
 */
export async function ensureSigningKey(
  files: KeyFiles,
  commonName: string = DEFAULT_COMMON_NAME,
): Promise<boolean> {
  if (commonName.trim() === '')
    throw new CacheError('usage', 'the common name is empty; write a name, or leave the option out');
  if ((await readSigner(files)) !== undefined) {
    for (const file of [files.privateKeyFile, files.certificateFile]) await keepDurable(file);
    return false;
  }
  const { privateKey, certificate } = await createKeyPair({ commonName, days: KEY_DAYS });
  // The folder's owner may be the server, which must not hold a key.
  await writeNew(files.privateKeyFile, privateKey, 0o600, { isForFolder: false });
  await writeNew(files.certificateFile, certificate, 0o644);
  return true;
}

/** Whether there is a private key. A server has at most its certificate, which verifies what the key has signed elsewhere. */
export async function hasSigningKey({ privateKeyFile }: KeyFiles): Promise<boolean> {
  return (await readIfThere(privateKeyFile)) !== undefined;
}

/**
 * The signer of the two files; undefined if neither exists.
 * @throws CacheError `config` if only one of the files exists, or they don't match
 */
export async function readSigner({ privateKeyFile, certificateFile }: KeyFiles): Promise<Signer | undefined> {
  const [privateKey, certificate] = await Promise.all([
    readIfThere(privateKeyFile),
    readIfThere(certificateFile),
  ]);
  if (privateKey === undefined && certificate === undefined) return undefined;
  if (privateKey === undefined || certificate === undefined) {
    const [there, missing] =
      privateKey === undefined ? [certificateFile, privateKeyFile] : [privateKeyFile, certificateFile];
    throw new CacheError(
      'config',
      `${there} exists, but its pair ${missing} does not; restore it, or move ${there} away to get a new pair`,
    );
  }
  return createSigner(
    { privateKey, certificate },
    { privateKey: privateKeyFile, certificate: certificateFile },
  );
}
