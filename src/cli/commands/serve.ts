import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { CacheError, systemCode } from '../../cache/errors.ts';
import { DIRECTORY, STORE_FILE } from '../../cache/layout.ts';
import type { Config } from '../../config/config.ts';
import { parseListen, type ListenAddress } from '../../config/listen-address.ts';
import { createApp } from '../../http/app.ts';
import { createListener, type Listener } from '../../http/listener.ts';
import { certificateState, parseChain } from '../../operations/certificate-state.ts';
import type { ConnectionLimit } from '../../http/open-connections.ts';
import type { TlsMaterial } from '../../operations/tls-certificate.ts';
import { withoutMisses } from '../filling-store.ts';
import { breakOffImport } from '../interruption.ts';
import { NoStore } from '../../storage/store-folder.ts';
import { bestUrl, urlsOf } from '../addresses.ts';
import { EXIT } from '../exit-code.ts';
import type { CommonOptions } from '../common-options.ts';
import { checkNamedFiles } from '../named-path.ts';
import { parseOption } from '../parse-option.ts';
import { createServerLog, type ServerLog } from '../request-log.ts';
import { createAccess } from '../access.ts';
import { openCustody, openStore, readConfig, readOwnTrusted, readTrusted, type Store } from '../site.ts';
import { createStoreScrub } from '../scrub.ts';
import { logTo, prepareTls, reportTo, tlsFilesOf, warnOfFault, watchTls, type TlsWatch } from '../tls.ts';
import { createTerminal, type Terminal } from '../terminal/terminal.ts';
import { printImported, runImport, type Imported } from './import.ts';
import { networkcacheSection } from './slapos-cfg.ts';

export interface ServeOptions extends CommonOptions {
  /** True when the option stands without a path: then there is nothing to import. */
  readonly import?: readonly string[] | true;
  readonly listen?: readonly string[];
}

/** Running downloads may take this long to finish when the server is told to stop. */
const STOP_LIMIT_MS = 30_000;

export async function serve(options: ServeOptions, version: string): Promise<void> {
  const { listen, quiet = false } = options;
  const terminal = createTerminal({ quiet });
  const config = await readConfig(options.config);
  const addresses =
    listen === undefined
      ? config.server.listen
      : parseOption('--listen', () =>
          parseListen(listen.join(' '), { tls: config.server.tls.mode !== 'off' }),
        );
  await checkNamedFiles(config);
  const isNew = config.file === undefined && (await lacksStore(config, terminal));
  const imports = Array.isArray(options.import);
  const store = await openServedStore(config, terminal, { isFilled: imports });
  let isImporting = imports;
  let isFilling = imports && !(await hasEntries(config));
  const { blobs, directory } = isFilling ? withoutMisses(store, () => isFilling) : store;
  const log = createServerLog();
  const scrub = createStoreScrub(config, await readTrusted(config), log);
  const shown: { tls: TlsMaterial | undefined } = {
    tls: await prepareTls(config, reportTo(terminal)),
  };
  const app = createApp({
    blobs,
    directory,
    custody: openCustody(store.storage),
    log,
    version,
    access: await createAccess(config, ({ message }) => {
      log.warn(message);
    }),
    trusted: await readOwnTrusted(config),
    upload: config.upload,
    checkStore: async () => {
      await store.storage.stat(STORE_FILE);
    },
    lastScrub: () => scrub?.last(),
    tls: () => shown.tls && certificateState(parseChain(shown.tls.certificate, 'TLS'), new Date()),
  });
  const toldToStop = untilToldToStop();
  // Before the import, which may take long: a port in use should not be found out after it.
  const listeners = await listenOnAll(app, addresses, shown.tls, limitOf(config, log));
  const watch = watchCertificates(config, listeners, shown, log);
  scrub?.start();
  try {
    const busy = fill(options, config, terminal)
      .then(() => (isImporting = isFilling = false))
      .then(() => begin(options, listeners, config, terminal, log))
      .then(() => tellIfEmpty(config, terminal, isNew))
      .then(() => toldToStop);
    await Promise.race([busy, toldToStop]);
  } finally {
    watch.stop();
    void scrub?.stop();
    await stop(listeners, log);
  }
  // An import may be broken off at any moment.
  if (isImporting) breakOffImport(await toldToStop);
  process.exit(EXIT.done);
}

/** What is done first once the server listens. */
async function fill(
  { import: paths, quiet = false }: ServeOptions,
  config: Config,
  terminal: Terminal,
): Promise<void> {
  if (!Array.isArray(paths)) return;
  const imported: Imported = { media: [], archives: [] };
  try {
    await runImport(paths, config, { quiet }, terminal, imported);
  } finally {
    printImported(imported, terminal);
  }
  // Where nothing came of it there may be no store.
  await openStore(config, terminal, { write: false });
}

async function begin(
  { quiet = false }: ServeOptions,
  listeners: readonly OpenListener[],
  config: Config,
  terminal: Terminal,
  log: ServerLog,
): Promise<void> {
  if (!quiet) await printWelcome(listeners, config, terminal);
  log.info(`serving ${config.store.path} on ${listeners.map(({ url }) => url).join(' ')}`);
}

/**
 * A medium that is mounted read-only can still be served. A store that a configuration names, and that isn't there, is
 * one whose disk isn't mounted: an empty one in its place would make nodes compile. Only an import may make it.
 */
async function openServedStore(
  config: Config,
  terminal: Terminal,
  { isFilled }: { readonly isFilled: boolean },
): Promise<Store> {
  const whereNone = config.file === undefined ? 'make' : isFilled ? 'await' : 'refuse';
  try {
    return await openStore(config, terminal, { write: true, whereNone });
  } catch (error) {
    const code = error instanceof CacheError ? systemCode(error.cause) : undefined;
    if (code !== 'EROFS' && code !== 'EACCES' && code !== 'EPERM') throw error;
    const store = await openStore(config, terminal, { write: false });
    terminal.tell(`the store ${config.store.path} can't be written to: it is only read`);
    return store;
  }
}

async function lacksStore(config: Config, terminal: Terminal): Promise<boolean> {
  try {
    await openStore(config, terminal, { write: false });
    return false;
  } catch (error) {
    if (error instanceof NoStore) return true;
    throw error;
  }
}

/** Whether anything was ever entered: nothing is listed, which may take long. */
async function hasEntries({ store }: Config): Promise<boolean> {
  try {
    return (await stat(join(store.path, DIRECTORY))).isDirectory();
  } catch {
    return false;
  }
}

/** Of a store that was made at the start, perhaps the one that is meant is elsewhere; others may be left by an import that was refused. */
async function tellIfEmpty(config: Config, terminal: Terminal, isNew: boolean): Promise<void> {
  if (await hasEntries(config)) return;
  const { path } = config.store;
  const consequence = 'nodes that ask get 404, and compile.';
  const toFill = `To fill it: cache import${config.file === undefined ? '' : ` -c ${config.file}`} FOLDER`;
  terminal.tell(
    isNew
      ? [
          `note: there is no config.ini in ${process.cwd()}; the store ${path} was just made and is empty: ${consequence}`,
          'If there is a store elsewhere, stop this and name its configuration: cache serve -c FILE',
          toFill,
        ].join('\n')
      : `note: the store ${path} has no entry: ${consequence} ${toFill}`,
  );
}

interface OpenListener extends Listener {
  readonly address: ListenAddress;
}

async function listenOnAll(
  app: Parameters<typeof createListener>[0],
  addresses: readonly ListenAddress[],
  tls: TlsMaterial | undefined,
  limit: ConnectionLimit,
): Promise<readonly OpenListener[]> {
  const listeners: OpenListener[] = [];
  try {
    for (const address of addresses) {
      const listener = await createListener(
        app,
        address,
        address.scheme === 'https' ? tls : undefined,
        limit,
      );
      listeners.push({ ...listener, address });
    }
  } catch (error) {
    await Promise.all(listeners.map((listener) => listener.close(0)));
    throw error;
  }
  return listeners;
}

function limitOf({ server: { maxConnections } }: Config, log: ServerLog): ConnectionLimit {
  return {
    most: maxConnections,
    onRefused: (count) => {
      log.warn(
        `${maxConnections} connections are open; ${count} more closed at once. To allow more, set [server] max-connections`,
      );
    },
  };
}

/** Also takes SIGHUP where there is nothing to renew: it must never end the server. */
function watchCertificates(
  config: Config,
  listeners: readonly Listener[],
  shown: { tls: TlsMaterial | undefined },
  log: ServerLog,
): TlsWatch {
  const files = tlsFilesOf(config);
  if (files === undefined) {
    const ignore = (): void => undefined;
    process.on('SIGHUP', ignore);
    return { stop: () => process.off('SIGHUP', ignore) };
  }
  const onFault = (message: string): void => {
    log.warn(`the old certificate stays: ${message}`);
  };
  return watchTls(files, {
    onRenewed: (material) => {
      shown.tls = material;
      for (const listener of listeners) listener.renew(material);
      log.info(`using the certificate ${files.certificateFile} as it is now`);
      warnOfFault(files.certificateFile, material.certificate, logTo(log));
    },
    onFault,
    // What it makes anew is seen by the watch.
    onDay: () =>
      void prepareTls(config, logTo(log)).catch((error: unknown) => {
        onFault(error instanceof Error ? error.message : String(error));
      }),
  });
}

async function printWelcome(
  listeners: readonly OpenListener[],
  config: Config,
  terminal: Terminal,
): Promise<void> {
  const urls = listeners.flatMap(({ address, port }) => urlsOf({ ...address, port }));
  const base = config.server.publicUrl ?? bestUrl(urls);
  if (base === undefined) return;
  terminal.print(`Serving ${config.store.path} on\n${urls.map((url) => `  ${url}`).join('\n')}\n`);
  terminal.print(
    'For /etc/opt/slapos/slapos.cfg of each node, in place of a [networkcache] section that is there:\n',
  );
  terminal.print(`${await networkcacheSection(config, base, terminal)}\n`);
}

function untilToldToStop(): Promise<'SIGTERM' | 'SIGINT'> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.once(signal, () => {
        resolve(signal);
      });
    }
  });
}

/** A second signal ends at once. */
async function stop(listeners: readonly Listener[], log: ServerLog): Promise<void> {
  const endNow = (): void => {
    log.flush();
    process.exit(EXIT.incomplete);
  };
  process.once('SIGTERM', endNow).once('SIGINT', endNow);
  const broken = await Promise.all(listeners.map((listener) => listener.close(STOP_LIMIT_MS)));
  const count = broken.reduce((sum, number) => sum + number, 0);
  if (count > 0)
    log.warn(`stopped; ${count} connections were still busy after ${STOP_LIMIT_MS / 1000} s and were broken`);
  log.flush();
  process.off('SIGTERM', endNow).off('SIGINT', endNow);
}
