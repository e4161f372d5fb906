import { join } from 'node:path';
import { createBlobs, type Blobs } from '../cache/blobs.ts';
import type { CustodyLog } from '../cache/custody.ts';
import { createCustodyLog } from '../cache/custody-log.ts';
import { createDirectory, type Directory } from '../cache/directory.ts';
import { CacheError } from '../cache/errors.ts';
import { createHashThreads } from '../cache/hash-threads.ts';
import { parseOs, type Platform } from '../cache/platform.ts';
import { createTrustedCertificates, type Signer, type TrustedCertificates } from '../cache/signature.ts';
import type { ObjectStorage } from '../cache/object-storage.ts';
import { loadConfig } from '../config/config-file.ts';
import type { Config } from '../config/config.ts';
import { readIfThere } from '../operations/files.ts';
import { exposureOf } from '../operations/key-exposure.ts';
import { ensureSigningKey, readSigner } from '../operations/make-medium.ts';
import { isWithin, realPlaceOf } from '../operations/real-place.ts';
import { readMachine } from '../operations/this-machine.ts';
import { openFilesystemStorage, type FilesystemOptions } from '../storage/filesystem.ts';
import { NoStore } from '../storage/store-folder.ts';
import { EXIT, endWith } from './exit-code.ts';
import { localActor } from './local-actor.ts';
import { checkStorePath } from './named-path.ts';
import { parseOption } from './parse-option.ts';
import type { Terminal } from './terminal/terminal.ts';

/** What a command works with: the store of the configuration, ready to use. */
export interface Store {
  readonly storage: ObjectStorage;
  readonly blobs: Blobs;
  readonly directory: Directory;
  /**
   * For commands: what can't be recorded is told to the person and shows in the exit code, and the command goes on. Its
   * `record` never rejects.
   */
  readonly custody: CustodyLog;
}

/** @throws CacheError `config` */
export async function readConfig(option: string | undefined): Promise<Config> {
  const config = await loadConfig({ option, env: process.env, cwd: process.cwd() });
  if (config.isOfFolder || config.file === undefined) await checkKeyIsInside(config, process.cwd());
  return config;
}

/** The folder may be a medium that was in other hands: it must not have this site sign, by a path or by a link. */
async function checkKeyIsInside({ file, signature }: Config, folder: string): Promise<void> {
  const key = signature.privateKeyFile;
  const place = await realPlaceOf(key);
  if (isWithin(place, await realPlaceOf(folder))) return;
  throw new CacheError(
    'config',
    file === undefined
      ? `${key} leads to ${place}, which is outside of the current folder; name a configuration with -c`
      : `${file} was found in the current folder, and its key is outside of that: [signature] private-key-file is ${place}; if this configuration is meant, name it: -c ${file}`,
  );
}

export interface OpenStoreOptions extends Pick<FilesystemOptions, 'write' | 'whereNone'> {
  /** Whether a person named it as the place to copy to: no word is needed where it isn't there yet. */
  readonly isTarget?: boolean;
}

/** @throws CacheError `storage`, `config` */
export async function openStore(
  config: Config,
  terminal: Terminal,
  { write, whereNone = 'refuse', isTarget = false }: OpenStoreOptions,
): Promise<Store> {
  await checkStorePath(config);
  const { file, store, upload } = config;
  const [{ path }, { minFreeSpace }] = [store, upload];
  // Only what a configuration names can have been there before.
  const isNoted = write && whereNone === 'make-later' && file !== undefined && !isTarget;
  const onNone = (): void => {
    if (isNoted)
      terminal.tell(
        `note: there is no store at ${path} yet; one is made. If there should be: is its disk mounted?`,
      );
  };
  const onOwnerFault = tellOwnerFault(path, terminal);
  const options = { write, whereNone, minFreeSpace, onNone, onOwnerFault };
  const storage = await openFilesystemStorage(path, options).catch((error: unknown) => {
    throw error instanceof NoStore ? error.withAdvice(adviceToMakeOne(config)) : error;
  });
  const directory = createDirectory(storage, {
    onDamage: (_key, _digest, error) => {
      terminal.warn(`cache: ${error.message}`);
      endWith(EXIT.incomplete);
    },
  });
  const blobs = createBlobs(storage, createHashThreads());
  return { storage, blobs, directory, custody: openCommandCustody(storage, terminal) };
}

/** Tells a person, once, that what a command writes is of no use to a server that runs as the store's owner. */
export function tellOwnerFault(path: string, terminal: Terminal): (fault: string) => void {
  let isTold = false;
  return (fault) => {
    if (isTold) return;
    isTold = true;
    terminal.warn(
      `cache: a server that runs as the owner of ${path} can't read what is written now: ${fault}; write as that user, or as root`,
    );
    endWith(EXIT.incomplete);
  };
}

function adviceToMakeOne({ file, store }: Config): string {
  const option = file === undefined ? '' : ` -c ${file}`;
  return `To make one: cache import${option} FOLDER, or for an empty one: mkdir -p ${join(store.path, 'bcache')}`;
}

/** Who did what to the store. */
export function openCustody(storage: ObjectStorage): CustodyLog {
  return createCustodyLog(storage, { who: localActor() });
}

/** The same for a command: see `Store.custody`. */
export function openCommandCustody(storage: ObjectStorage, terminal: Terminal): CustodyLog {
  const custody = openCustody(storage);
  return {
    ...custody,
    async record(event) {
      try {
        await custody.record(event);
      } catch (error) {
        if (!(error instanceof CacheError)) throw error;
        terminal.warn(`cache: done, but not recorded (${event.action}): ${error.message}`);
        endWith(EXIT.storage);
      }
    },
  };
}

/**
 * The certificates whose signatures count here, as they do on the nodes: the site's own, and those of `[signature]` and
 * `[upstream]`.
 */
export async function readTrusted(config: Config): Promise<TrustedCertificates> {
  return createTrustedCertificates([
    ...(await readOwnCertificates(config)),
    ...listed(config, 'upstream', config.upstream?.trustedCertificates ?? []),
  ]);
}

/**
 * Without those of `[upstream]`: who signs there can't upload here, and an archive that was signed there is signed again
 * when it is imported.
 */
export async function readOwnTrusted(config: Config): Promise<TrustedCertificates> {
  return createTrustedCertificates(await readOwnCertificates(config));
}

interface NamedCertificate {
  readonly pem: string;
  readonly where: string;
}

async function readOwnCertificates(config: Config): Promise<readonly NamedCertificate[]> {
  const { certificateFile, trustedCertificates } = config.signature;
  const own = await readIfThere(certificateFile);
  return [
    ...(own === undefined ? [] : [{ pem: own, where: certificateFile }]),
    ...listed(config, 'signature', trustedCertificates),
  ];
}

function listed({ file }: Config, section: string, pems: readonly string[]): readonly NamedCertificate[] {
  return pems.map((pem, index) => ({
    pem,
    where: `${file ?? 'configuration'}: [${section}] signature-certificate-list, certificate ${index + 1}`,
  }));
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
      `${file ?? 'configuration'}: [signature] private-key-file: there is no ${signature.privateKeyFile}; make it with: cache keygen${file === undefined ? '' : ` -c ${file}`}; or sign where there is a key, and bring it from there by cache export`,
    );
  }
  await warnOfExposure(signature.privateKeyFile, terminal);
  if (signer.bits < WEAK_KEY_BITS) {
    terminal.warn(
      `cache: ${signature.privateKeyFile} has only ${signer.bits} bits; move it away and make a new pair with: cache keygen`,
    );
  }
  return signer;
}

/** Whoever can read a key signs with it; the word about it counts each time that the key is used. */
export async function warnOfExposure(privateKeyFile: string, terminal: Terminal): Promise<void> {
  const exposure = await exposureOf(privateKeyFile);
  if (exposure !== undefined) terminal.warn(`cache: ${exposure}`);
}

/** Another machine than this one, as options tell it. */
export interface MachineOptions {
  readonly os?: string;
  readonly multiarch?: string;
}

/** The machine that a command is about: this one, as far as nothing else is told. @throws CacheError `usage` */
export async function machineOf({ os, multiarch }: MachineOptions): Promise<Platform> {
  const system = os === undefined ? undefined : parseOption('--os', () => parseOs(os));
  if (system !== undefined && multiarch !== undefined) return { os: system, multiarch };
  const machine = await readMachine();
  return { os: system ?? machine.os, multiarch: multiarch ?? machine.multiarch };
}
