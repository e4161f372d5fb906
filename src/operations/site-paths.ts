import { dirname, join } from 'node:path';
import type { Config } from '../config/config.ts';
import { PACKAGES_FOLDER } from './medium/manifest.ts';

/*
 * Paths beside the store's folder, which no key of the configuration names. With a bucket they are where the folder would
 * be.
 */

/** The folder for files of `packages/`. */
export function packagesFolderOf({ store }: Pick<Config, 'store'>): string {
  return join(dirname(store.path), PACKAGES_FOLDER);
}

/** Paths of the TLS files. */
export interface TlsFiles {
  readonly certificateFile: string;
  readonly keyFile: string;
  readonly clientCaFile: string | undefined;
}

/**
 * Paths of the server's TLS files; undefined for plain HTTP. With `tls = auto` they stay outside the store, because a
 * copied store must not carry the key.
 */
export function tlsFilesOf({ server: { tls }, store, access }: Config): TlsFiles | undefined {
  const { clientCaFile } = access;
  switch (tls.mode) {
    case 'off':
      return undefined;
    case 'auto': {
      const folder = dirname(store.path);
      const [certificateFile, keyFile] = [join(folder, 'server.crt'), join(folder, 'server.key')];
      return { certificateFile, keyFile, clientCaFile };
    }
    case 'on':
      return { certificateFile: tls.certificateFile, keyFile: tls.keyFile, clientCaFile };
  }
}
