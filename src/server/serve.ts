import { CacheError, messageOf, systemCode } from '../cache/errors.ts';
import type { Store } from '../cache/store.ts';
import type { Config } from '../config/config.ts';
import type { ListenAddress } from '../config/listen-address.ts';
import { createApp } from '../http/app.ts';
import { WAITING_LIMIT } from '../http/open-connections.ts';
import { createStoreIndex } from '../operations/catalog/store-index.ts';
import { checkNamedFiles } from '../operations/check-paths.ts';
import { createSite, type Site } from '../operations/site.ts';
import { formatNetworkcacheSection, networkcacheSection } from '../operations/slapos-cfg.ts';
import { tlsFilesOf } from '../operations/site-paths.ts';
import type { TlsMaterial } from '../operations/tls-certificate.ts';
import { createAccess } from './access.ts';
import { prepareTls, warnOfFaults, watchTls, type TlsWatch } from './certificates.ts';
import { closeAll, listenOnAll, type OpenListener } from './listeners.ts';
import type { PassedSocket } from './passed-sockets.ts';
import { createCertificateWatch } from './certificate-watch.ts';
import { createMetrics } from './metrics.ts';
import { createPageParts } from './page.ts';
import { createReadiness } from './readiness.ts';
import { createStoreScrub } from './scrub.ts';
import { createUpstreamProbe } from './upstream-probe.ts';
import { createServerLog, type LogOptions, type ServerLog } from './server-log.ts';
import { createServiceManager } from './service-manager.ts';

export interface ServeOptions {
  /** Where to listen. */
  readonly places: readonly (ListenAddress | PassedSocket)[];
  /** Version of this program. */
  readonly version: string;
  /** Commit that it was built from, if it is known. */
  readonly commit?: string;
  readonly log: LogOptions;
  /** Runs while the server already answers; the server is ready when it resolves. */
  readonly prepare: (site: Site) => Promise<void>;
  /** Called when the server is ready. */
  readonly onReady: (listeners: readonly OpenListener[]) => Promise<void>;
}

/** How serving ended. */
export interface ServeEnd {
  readonly signal: 'SIGTERM' | 'SIGINT';
  /** Whether `prepare` was still running. */
  readonly isPreparing: boolean;
}

/**
 * Serves the store of a site until SIGTERM or SIGINT.
 * @param site sends its messages to the person who starts the server
 * @throws CacheError `config`, `storage`, `usage`; any error of `prepare`
 */
export async function serve(
  site: Site,
  { places, version, commit, log: logOptions, prepare, onReady }: ServeOptions,
): Promise<ServeEnd> {
  const { config, location, messages } = site;
  await checkNamedFiles(config);
  const log = createServerLog(logOptions);
  const warn = (message: string): void => {
    log.warn(message);
  };
  const served = createSite(config, messagesTo(log));
  const index = createStoreIndex(await openServedStore(served, messages), {
    trusted: await served.trusted(),
    onFault: warn,
  });
  const { store, catalog } = index;
  const scrub = await createStoreScrub(served, log);
  const shown: { tls: TlsMaterial | undefined } = { tls: await prepareTls(config, messages) };
  const certificates = await createCertificateWatch(config, () => shown.tls);
  const readiness = createReadiness({
    store,
    takesUploads: takesUploads(config),
    certificates: certificates.now,
    askUpstream: createUpstreamProbe(config),
    onFault: warn,
  });
  const metrics = createMetrics(
    {
      ...{ version, catalog: () => catalog.state, refused: index.refused, lastScrub: () => scrub?.last() },
      ...{ readiness: readiness.now, room: readiness.room, certificateEnds: certificates.ends },
      localCache: store.localCache,
    },
    config.access.metrics,
  );
  let listeners: readonly OpenListener[] = [];
  const urlForNodes = (base: string): string => config.server.publicUrl ?? plainUrl(base, listeners);
  const app = createApp({
    ...{ store, catalog, log, version, commit, metrics, readiness: readiness.now, upload: config.upload },
    access: await createAccess(config, ({ message }) => {
      warn(message);
    }),
    trusted: await served.ownTrusted(),
    hosts: { cache: config.server.cacheHosts, directory: config.server.dirHosts },
    accelRedirect: config.server.accelRedirect,
    nodeSection: (base) => sectionFor(urlForNodes(base), config),
    lastScrub: () => scrub?.last(),
    page: await createPageParts(served, { store, catalog, urlForNodes, roomLeft: readiness.room }),
    tls: certificates.tls,
  });
  const stopped = untilStopped();
  // Listens before the long preparation, so that a port in use is reported at once.
  listeners = await listenOnAll(app, places, shown.tls, {
    most: config.server.maxConnections,
    onRefused: (count) => {
      log.warn(
        `${config.server.maxConnections} connections are open; ${count} more closed at once. To allow more, set [server] max-connections`,
      );
    },
    onCut: (count) => {
      log.warn(
        `${count} ${count === 1 ? 'connection was' : 'connections were'} cut: ${WAITING_LIMIT / 1024 ** 2} MiB of answers waited for slow clients`,
      );
    },
  });
  const watch = watchCertificates(served, listeners, shown);
  const manager = createServiceManager(process.env, warn);
  // Without certificates, too: SIGHUP must never end the server.
  const reload = (): void => void manager.reloading(() => watch.renew());
  process.on('SIGHUP', reload);
  const serving = `serving ${location} on ${listeners.map(({ url }) => url).join(' ')}`;
  manager.ready(serving, () => listeners.every((listener) => listener.isListening()));
  scrub?.start();
  index.start();
  readiness.start();
  let isPreparing = true;
  try {
    const busy = prepare({
      ...site,
      store: (use) => (use === 'write' ? Promise.resolve(store) : site.store(use)),
    })
      .then(() => (isPreparing = false))
      .then(() => {
        log.info(serving);
      })
      .then(() => onReady(listeners))
      .then(() => stopped);
    await Promise.race([busy, stopped]);
  } finally {
    const told = manager.stopping();
    watch.stop();
    void scrub?.stop();
    void index.stop();
    readiness.stop();
    await Promise.all([told, closeAll(listeners, log)]);
    process.off('SIGHUP', reload);
  }
  return { signal: await stopped, isPreparing };
}

/**
 * The section for nodes as a file that Python's ConfigParser reads; warnings are comments in it.
 * @param url of this server, for nodes
 * @throws CacheError `not-found`
 */
async function sectionFor(url: string, config: Config): Promise<string> {
  const notes: string[] = [];
  const note = (text: string): void => {
    notes.push(text.replace(/^cache: /, '').replaceAll('\n', '\n# '));
  };
  // The certificates may have changed since the start.
  const site = createSite(config, { tell: note, warn: note, fail: note });
  try {
    const section = formatNetworkcacheSection(await networkcacheSection(site, url));
    return notes.map((line) => `# ${line}\n`).join('') + section;
  } catch (error) {
    if (!(error instanceof CacheError) || error.code !== 'config') throw error;
    throw new CacheError(
      'not-found',
      'this cache has no certificate that nodes could trust; see [signature] in its configuration',
      { cause: error },
    );
  }
}

/** A node's Python has to trust a TLS certificate already: where plain HTTP is served, too, nodes download over that. */
function plainUrl(base: string, listeners: readonly OpenListener[]): string {
  const { hostname } = new URL(base);
  const plain = listeners.find(
    ({ address: { scheme, host } }) => scheme === 'http' && ['::', '0.0.0.0', hostname].includes(host),
  );
  if (!base.startsWith('https:') || plain === undefined) return base;
  return base.replace(/^https:/, 'http:').replace(/(?::\d+)?$/, `:${plain.port}`);
}

/** Without the name of the program, which stands before warnings on a terminal. */
function messagesTo(log: ServerLog): Site['messages'] {
  const warn = (text: string): void => {
    log.warn(text.replace(/^cache: /, ''));
  };
  return {
    tell: (text) => {
      log.info(text);
    },
    warn,
    fail: warn,
  };
}

/** Whether some client may have the right to upload. */
function takesUploads({ access }: Config): boolean {
  const { anonymous, htpasswdFile, clientCaFile, ldap } = access;
  return anonymous === 'upload' || [htpasswdFile, clientCaFile, ldap].some((way) => way !== undefined);
}

/** A store on a read-only disk can still be served. */
async function openServedStore(site: Site, messages: Site['messages']): Promise<Store> {
  try {
    return await site.store('serve');
  } catch (error) {
    const code = error instanceof CacheError ? systemCode(error.cause) : undefined;
    if (code !== 'EROFS' && code !== 'EACCES' && code !== 'EPERM') throw error;
    const store = await site.store('read');
    messages.tell(`the store ${site.location} can't be written to: it is only read`);
    return store;
  }
}

function watchCertificates(
  { config, messages }: Site,
  listeners: readonly OpenListener[],
  shown: { tls: TlsMaterial | undefined },
): TlsWatch {
  const files = tlsFilesOf(config);
  if (files === undefined) return { renew: () => Promise.resolve(), stop: () => undefined };
  const onFault = (message: string): void => {
    messages.warn(`the old certificate stays: ${message}`);
  };
  return watchTls(files, {
    onRenewed: (material) => {
      shown.tls = material;
      for (const listener of listeners) listener.renew(material);
      messages.tell(`using the certificate ${files.certificateFile} as it is now`);
      warnOfFaults(files, material, messages);
    },
    onFault,
    // The watch notices a renewed certificate.
    onDay: () =>
      void prepareTls(config, messages).catch((error: unknown) => {
        onFault(messageOf(error));
      }),
  });
}

function untilStopped(): Promise<ServeEnd['signal']> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) {
      process.once(signal, () => {
        resolve(signal);
      });
    }
  });
}
