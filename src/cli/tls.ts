import { unwatchFile, watchFile } from 'node:fs';
import { CacheError } from '../cache/errors.ts';
import type { Config } from '../config/config.ts';
import {
  autoTlsFiles,
  ensureTlsCertificate,
  readTlsMaterial,
  type TlsFiles,
  type TlsMaterial,
} from '../operations/tls-certificate.ts';
import type { Terminal } from './terminal/terminal.ts';

/** How often the files are looked at, in milliseconds. */
const WATCH_INTERVAL_MS = 1000;

/** The certificate's files; undefined where the server speaks plain HTTP only. */
export function tlsFilesOf({ server: { tls }, store, access }: Config): TlsFiles | undefined {
  const { clientCaFile } = access;
  switch (tls.mode) {
    case 'off':
      return undefined;
    case 'auto':
      return { ...autoTlsFiles(store.path), clientCaFile };
    case 'on':
      return { certificateFile: tls.certificateFile, keyFile: tls.keyFile, clientCaFile };
  }
}

/** What the listeners need; `tls = auto` makes its certificate on first use. @throws CacheError `config`, `storage` */
export async function prepareTls(config: Config, terminal: Terminal): Promise<TlsMaterial | undefined> {
  const files = tlsFilesOf(config);
  if (files === undefined) return undefined;
  const { tls } = config.server;
  if (tls.mode === 'auto') {
    const { made, missing } = await ensureTlsCertificate(files, tls.names);
    if (made)
      terminal.tell(
        `made a TLS certificate: ${files.certificateFile}; copy it to the nodes, which need it to trust this server`,
      );
    if (missing.length > 0) {
      terminal.warn(
        `cache: ${files.certificateFile} was made before this machine had ${missing.join(', ')}; to have these in it, remove it and ${files.keyFile}, and start again`,
      );
    }
  }
  return readTlsMaterial(files);
}

export interface TlsWatch {
  stop(): void;
}

/**
 * Tells of new certificates: when a file changes, and on SIGHUP. One that can't be used is reported, and the old one
 * stays: a certificate and its key are never replaced at the same moment.
 */
export function watchTls(
  files: TlsFiles,
  { onRenewed, onFault }: { onRenewed: (material: TlsMaterial) => void; onFault: (message: string) => void },
): TlsWatch {
  const paths = [files.certificateFile, files.keyFile, files.clientCaFile].filter(
    (path) => path !== undefined,
  );
  const renew = (): void => {
    readTlsMaterial(files).then(onRenewed, (error: unknown) => {
      onFault(error instanceof CacheError ? error.message : String(error));
    });
  };
  for (const path of paths) watchFile(path, { interval: WATCH_INTERVAL_MS, persistent: false }, renew);
  process.on('SIGHUP', renew);
  return {
    stop: () => {
      for (const path of paths) unwatchFile(path, renew);
      process.off('SIGHUP', renew);
    },
  };
}
