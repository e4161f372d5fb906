import { readFile } from 'node:fs/promises';
import { createBlobs, type Blobs } from '../cache/blobs.ts';
import { createDirectory, type Directory } from '../cache/directory.ts';
import { CacheError } from '../cache/errors.ts';
import { multiarchOfNode, parseOsRelease, type Platform } from '../cache/platform.ts';
import { createTrustedCertificates, type Signer, type TrustedCertificates } from '../cache/signature.ts';
import type { ObjectStorage } from '../cache/object-storage.ts';
import { loadConfig } from '../config/config-file.ts';
import type { Config } from '../config/config.ts';
import { readIfThere } from '../operations/files.ts';
import { ensureSigningKey, readSigner } from '../operations/make-medium.ts';
import { openFilesystemStorage } from '../storage/filesystem.ts';
import { EXIT } from './exit-code.ts';
import type { Terminal } from './terminal/terminal.ts';

/** What a command works with: the store of the configuration, ready to use. */
export interface Store {
  readonly storage: ObjectStorage;
  readonly blobs: Blobs;
  readonly directory: Directory;
}

export function readConfig(option: string | undefined): Promise<Config> {
  return loadConfig({ option, env: process.env, cwd: process.cwd() });
}

/** @throws CacheError `storage` */
export async function openStore(
  config: Config,
  terminal: Terminal,
  { write }: { readonly write: boolean },
): Promise<Store> {
  const storage = await openFilesystemStorage(config.store.path, {
    write,
    minFreeSpace: config.upload.minFreeSpace,
  });
  const directory = createDirectory(storage, {
    onDamage: (_key, _digest, error) => {
      terminal.warn(`cache: ${error.message}`);
      process.exitCode = EXIT.incomplete;
    },
  });
  return { storage, blobs: createBlobs(storage), directory };
}

/** The certificates whose signatures count here: those of the configuration, and the site's own. */
export async function readTrusted({ file, signature }: Config): Promise<TrustedCertificates> {
  const own = await readIfThere(signature.certificateFile);
  return createTrustedCertificates([
    ...(own === undefined ? [] : [{ pem: own, where: signature.certificateFile }]),
    ...signature.trustedCertificates.map((pem, index) => ({
      pem,
      where: `${file ?? 'configuration'}: [signature] signature-certificate-list, certificate ${index + 1}`,
    })),
  ]);
}

/** Shorter keys are still used, because sites have them, but not without a word. */
const WEAK_KEY_BITS = 2048;

/**
 * Who signs what is imported. Without any configuration a key is made on first use; a configuration that names a key
 * which isn't there is more likely wrong than new.
 */
export async function openSigner({ file, signature }: Config, terminal: Terminal): Promise<Signer> {
  if (file === undefined && (await ensureSigningKey(signature))) {
    terminal.tell(
      `made a signing key: ${signature.privateKeyFile}, and its certificate: ${signature.certificateFile}`,
    );
  }
  const signer = await readSigner(signature);
  if (signer === undefined) {
    throw new CacheError(
      'config',
      `${file ?? 'configuration'}: [signature] private-key-file: there is no ${signature.privateKeyFile}; make it with: cache keygen${file === undefined ? '' : ` -c ${file}`}`,
    );
  }
  if (signer.bits < WEAK_KEY_BITS) {
    terminal.warn(
      `cache: ${signature.privateKeyFile} has only ${signer.bits} bits; move it away and make a new pair with: cache keygen`,
    );
  }
  return signer;
}

/** The machine that this program runs on. */
export async function readMachine(): Promise<Platform> {
  const path = '/etc/os-release';
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw new CacheError('usage', `${path} can't be read; tell the system with --os`, { cause: error });
  }
  return { multiarch: multiarchOfNode(process.arch), os: parseOsRelease(text) };
}
