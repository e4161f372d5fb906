import { isBucketUrl } from '../cache/bucket-url.ts';
import { CacheError } from '../cache/errors.ts';
import { createTrustedCertificates, type Signer, type TrustedCertificates } from '../cache/signature.ts';
import { quoteForShell } from '../cache/shell.ts';
import type { Store } from '../cache/store.ts';
import type { Config } from '../config/config.ts';
import { openStore, type OpenStoreOptions } from '../storage/open-store.ts';
import { NoStore } from '../storage/store-folder.ts';
import { checkStorePath, checkWrittenIsInside } from './check-paths.ts';
import { commandOf } from './command-line.ts';
import { warnOfExposure } from './key-exposure.ts';
import { readKnownAuthorities } from './known-authorities.ts';
import { ensureSigningKey, readSigner } from './signing-key.ts';
import { readTrustedPems } from './trust-certificates.ts';

/** Receives messages for the operator: on a terminal, or in the log of a server. */
export interface Messages {
  tell(text: string): void;
  warn(text: string): void;
  /** Reports an incomplete operation or a failed log record. */
  fail(text: string, how: 'incomplete' | 'storage'): void;
}

/**
 * Purpose of opening a store. `upkeep` opens it unchanged, and `inspect` looks at it as upkeep does, but writes nothing; `dry-run`
 * writes nothing and treats a missing store as empty. `serve` writes, and reads blobs through the local cache.
 */
export type StoreUse = 'read' | 'write' | 'upkeep' | 'inspect' | 'dry-run' | 'serve';

const MODES = {
  read: 'read',
  'dry-run': 'read',
  inspect: 'upkeep',
  upkeep: 'upkeep',
  write: 'write',
  serve: 'write',
} as const satisfies Record<StoreUse, OpenStoreOptions['mode']>;

/** The site of a configuration. Opens and reads everything on first use, once. */
export interface Site {
  readonly config: Config;
  readonly messages: Messages;
  /** The location of its store: a path, or the URL of a bucket. */
  readonly location: string;
  /**
   * Its store. Without a configuration the first write creates it; with one, only `cache init` does.
   * @throws CacheError `storage`, `config`
   */
  store(use: StoreUse): Promise<Store>;
  /** Another store. @param make create it if it is missing */
  storeAt(location: string, use: StoreUse, make?: boolean): Promise<Store>;
  /** The trusted certificates, as on the nodes: the site's own, those of `[signature]` and `[upstream]`. */
  trusted(): Promise<TrustedCertificates>;
  /**
   * Excludes the certificates of `[upstream]`: their signers can't upload here, and their archives are signed again.
   */
  ownTrusted(): Promise<TrustedCertificates>;
  /**
   * Signs entries. Without a configuration the first use creates the key.
   * @throws CacheError `config`: there is no key
   */
  signer(): Promise<Signer>;
}

export function createSite(config: Config, messages: Messages): Site {
  const location = locationOf(config);
  const opened = new Map<StoreUse, Promise<Store>>();
  let trusted: Promise<TrustedCertificates> | undefined;
  let ownTrusted: Promise<TrustedCertificates> | undefined;
  let signer: Promise<Signer> | undefined;

  const storeAt: Site['storeAt'] = async (at, use, make = false) =>
    openStore(at, {
      mode: MODES[use],
      make: make && (use === 'write' || use === 'serve' || use === 'dry-run'),
      minFreeSpace: config.upload.minFreeSpace,
      access: await accessOf(at, config),
      ...(use === 'serve' && { localCache: localCacheOf(config, messages) }),
      ...eventsOf(at, use, messages),
    });

  const openOwn = async (use: StoreUse): Promise<Store> => {
    await checkStorePath(config);
    if (use === 'write' || use === 'upkeep' || use === 'serve')
      await checkWrittenIsInside(config, use === 'serve');
    try {
      return await storeAt(location, use, config.file === undefined);
    } catch (error) {
      if (!(error instanceof NoStore)) throw error;
      throw new NoStore(`${error.message} ${adviceToMakeOne(config)}`);
    }
  };

  return {
    config,
    messages,
    location,
    storeAt,
    async store(use) {
      // A store opened for any other use also serves reads.
      const known = opened.get(use) ?? (use === 'read' ? [...opened.values()][0] : undefined);
      if (known !== undefined) return known;
      const opening = openOwn(use);
      opened.set(use, opening);
      opening.catch(() => opened.delete(use));
      return opening;
    },
    trusted: () => (trusted ??= readTrustedPems(config).then(createTrustedCertificates)),
    ownTrusted: () =>
      (ownTrusted ??= readTrustedPems(config).then((pems) =>
        createTrustedCertificates(pems.filter(({ from }) => from !== 'upstream')),
      )),
    signer: () => (signer ??= openSigner(config, messages)),
  };
}

/** The location of the store of a configuration. */
export function locationOf({ store }: Pick<Config, 'store'>): string {
  return store.bucket?.url ?? store.path;
}

/** How to reach a store, if it is a bucket, with the access of a configuration. @throws CacheError `config` */
export async function accessOf(
  location: string,
  { store: { bucket } }: Config,
): Promise<OpenStoreOptions['access']> {
  if (!isBucketUrl(location)) return undefined;
  const isPlain = bucket?.access.endpoint?.startsWith('http:') === true;
  return { ...bucket?.access, ...(!isPlain && { authorities: await readKnownAuthorities(process.env) }) };
}

function localCacheOf({ store: { bucket } }: Config, messages: Messages): OpenStoreOptions['localCache'] {
  const onFault = (message: string): void => {
    messages.warn(`cache: ${message}`);
  };
  return bucket?.localCache && { ...bucket.localCache, onFault };
}

type StoreEvents = Pick<OpenStoreOptions, 'onDamage' | 'onOwnerFault' | 'onUnrecorded'>;

function eventsOf(location: string, use: StoreUse, messages: Messages): StoreEvents {
  let isOwnerTold = false;
  return {
    onUnrecorded: ({ action }, { message }) => {
      messages.fail(`cache: done, but not recorded (${action}): ${message}`, 'storage');
    },
    onOwnerFault: (fault) => {
      if (isOwnerTold) return;
      isOwnerTold = true;
      messages.fail(
        `cache: the owner of ${location}, such as a server, can't read the files written now: ${fault}; run as that user or as root`,
        'incomplete',
      );
    },
    // Upkeep looks for damage itself.
    ...(MODES[use] !== 'upkeep' && {
      onDamage: (_key, _digest, { message }) => {
        messages.fail(`cache: ${message}`, 'incomplete');
      },
    }),
  };
}

function adviceToMakeOne({ file }: Config): string {
  // Only -c makes a store of its configuration.
  return file === undefined
    ? 'Run the command in the folder of config.ini, or add -c FILE; to make a store: cache import FOLDER'
    : `To make one: cache init -c ${quoteForShell(file)}`;
}

/** Sites have shorter keys; they still work, with a warning. */
const WEAK_KEY_BITS = 2048;

async function openSigner(config: Config, messages: Messages): Promise<Signer> {
  const { file, signature } = config;
  if (file === undefined && (await ensureSigningKey(signature))) {
    messages.tell(
      `made a signing key: ${signature.privateKeyFile}, and its certificate: ${signature.certificateFile}`,
    );
  }
  const signer = await readSigner(signature);
  if (signer === undefined) {
    throw new CacheError(
      'config',
      `${file ?? 'configuration'}: [signature] private-key-file: there is no ${signature.privateKeyFile}; make it with: ${commandOf(config, 'keygen')}; or sign where there is a key, and bring the releases by cache export`,
    );
  }
  await warnOfExposure(signature.privateKeyFile, messages);
  if (signer.bits < WEAK_KEY_BITS) {
    messages.warn(
      `cache: ${signature.privateKeyFile} has only ${signer.bits} bits; move it away and make a new pair with: ${commandOf(config, 'keygen')}`,
    );
  }
  return signer;
}
