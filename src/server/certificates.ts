import { unwatchFile, watchFile } from 'node:fs';
import { CacheError } from '../cache/errors.ts';
import type { Config } from '../config/config.ts';
import { certificateState, faultOfAuthorities } from '../operations/certificate-state.ts';
import { tlsFilesOf, type TlsFiles } from '../operations/site-paths.ts';
import { ensureTlsCertificate, readTlsMaterial, type TlsMaterial } from '../operations/tls-certificate.ts';
import type { Messages } from '../operations/site.ts';

/** Milliseconds between checks of the files. */
const WATCH_INTERVAL_MS = 1000;
const DAY_MS = 86_400_000;

/** Receives messages about certificates. */
type CertificateMessages = Pick<Messages, 'tell' | 'warn'>;

/**
 * Certificate and key for the listeners; `tls = auto` makes a certificate on first use and when the old certificate is
 * no longer valid.
 * @throws CacheError `config`, `storage`
 */
export async function prepareTls(
  config: Config,
  messages: CertificateMessages,
): Promise<TlsMaterial | undefined> {
  const files = tlsFilesOf(config);
  if (files === undefined) return undefined;
  const { tls } = config.server;
  if (tls.mode === 'auto') await ensureCertificate(files, tls.names, messages);
  const material = await readTlsMaterial(files);
  warnOfFaults(files, material, messages);
  return material;
}

/** Warns and continues, because plain HTTP and nodes with a correct clock still work. */
export function warnOfFaults(
  { certificateFile, clientCaFile = '' }: TlsFiles,
  { chain, clientAuthorities }: Pick<TlsMaterial, 'chain' | 'clientAuthorities'>,
  messages: Pick<Messages, 'warn'>,
): void {
  const now = new Date();
  for (const [path, fault] of [
    [certificateFile, certificateState(chain, now).fault],
    [clientCaFile, faultOfAuthorities(clientAuthorities, now)],
  ] as const)
    if (fault !== undefined) messages.warn(`cache: ${path}: ${fault}`);
}

async function ensureCertificate(
  files: TlsFiles,
  names: readonly string[],
  messages: CertificateMessages,
): Promise<void> {
  const { certificateFile, keyFile } = files;
  const toDo = 'copy it to the nodes, which need it to trust this server';
  try {
    const { outcome, fault, missing } = await ensureTlsCertificate(files, names);
    if (outcome === 'restored') {
      messages.warn(
        `cache: ${certificateFile}: ${fault ?? ''}; the certificate that it had replaced is used again`,
      );
    } else if (fault !== undefined && outcome === 'made') {
      messages.warn(
        `cache: ${certificateFile}: ${fault}; made a new certificate: ${certificateFile}; ${toDo}. If the clock is wrong, set it and start again first`,
      );
    } else if (outcome === 'made') {
      messages.tell(`made a TLS certificate: ${certificateFile}; ${toDo}`);
    }
    if (missing.length > 0) {
      messages.warn(
        `cache: ${certificateFile} was made before this machine had ${missing.join(', ')}; to have these in it, remove it and ${keyFile}, and start again`,
      );
    }
  } catch (error) {
    // On a read-only disk the old certificate stays in use; if it is missing, the next step reports that.
    if (!(error instanceof CacheError) || (error.code !== 'storage' && error.code !== 'no-space'))
      throw error;
    messages.warn(`cache: ${error.message}`);
  }
}

export interface TlsWatch {
  /** Reads the files now. */
  renew(): Promise<void>;
  stop(): void;
}

export interface TlsEvents {
  readonly onRenewed: (material: TlsMaterial) => void;
  readonly onFault: (message: string) => void;
  /** Called daily: certificates expire, and clocks are corrected. */
  readonly onDay: () => void;
}

/**
 * Reads new certificates when a file changes. Reports an unusable certificate and keeps the old
 * certificate, because a certificate and its key are never replaced at the same moment.
 */
export function watchTls(files: TlsFiles, { onRenewed, onFault, onDay }: TlsEvents): TlsWatch {
  const paths = [files.certificateFile, files.keyFile, files.clientCaFile].filter(
    (path) => path !== undefined,
  );
  const renew = (): Promise<void> =>
    readTlsMaterial(files).then(onRenewed, (error: unknown) => {
      onFault(error instanceof CacheError ? error.message : String(error));
    });
  const onChange = (): void => void renew();
  for (const path of paths) watchFile(path, { interval: WATCH_INTERVAL_MS, persistent: false }, onChange);
  const daily = setInterval(onDay, DAY_MS).unref();
  return {
    renew,
    stop: () => {
      for (const path of paths) unwatchFile(path, onChange);
      clearInterval(daily);
    },
  };
}
