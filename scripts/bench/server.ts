import { rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { HttpServer } from './http-server.ts';
import { freePorts, startInBackground } from './process/background.ts';
import { execute } from './process/execute.ts';

/** The built program. */
export const PROGRAM = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url));

/** The keys of a site; paths of PEM files. */
export interface SiteKeys {
  readonly signKey: string;
  readonly signCertificate: string;
  readonly tlsKey: string;
  readonly tlsCertificate: string;
}

/** Keys of a section and their values. */
type Section = Readonly<Record<string, string>>;

/** Writes a configuration for a store. @param store its folder, or `[store]` @returns its path */
export async function writeConfig(
  file: string,
  store: string | Section,
  keys: SiteKeys,
  listen?: { readonly port: number; readonly tlsPort: number },
  server: Section = {},
): Promise<string> {
  await writeFile(
    file,
    `[server]
${listen === undefined ? '' : `listen = http://127.0.0.1:${listen.port} https://127.0.0.1:${listen.tlsPort}`}
tls-certificate = ${keys.tlsCertificate}
tls-key = ${keys.tlsKey}
${linesOf(server)}

[store]
${linesOf(typeof store === 'string' ? { path: store } : store)}

[signature]
private-key-file = ${keys.signKey}
certificate-file = ${keys.signCertificate}

[access]
anonymous = upload
`,
  );
  return file;
}

function linesOf(section: Section): string {
  return Object.entries(section)
    .map(([key, value]) => `${key} = ${value}`)
    .join('\n');
}

/** Makes the store of a configuration anew, empty. */
export async function renewStore(config: string, store: string, signal: AbortSignal): Promise<void> {
  await rm(store, { recursive: true, force: true });
  await execute(process.execPath, [PROGRAM, 'init', '-q', '-c', config], { signal });
}

export interface ServerOptions {
  readonly name: string;
  /** Its folder, or `[store]`. */
  readonly store: string | Section;
  /** More keys of `[server]`. */
  readonly server?: Section;
  readonly keys: SiteKeys;
  readonly signal: AbortSignal;
}

/** Starts our server over a store, with its access log in a file of `folder`. */
export async function startServer(
  folder: string,
  { name, store, server, keys, signal }: ServerOptions,
): Promise<HttpServer> {
  const [port = 0, tlsPort = 0] = await freePorts(2);
  const config = await writeConfig(join(folder, `${name}.ini`), store, keys, { port, tlsPort }, server);
  const started = await startInBackground(process.execPath, [PROGRAM, 'serve', '-c', config], {
    signal,
    logFile: join(folder, `${name}.log`),
    port,
  });
  return { ...started, name: 'ours', workerPid: started.pid, port, tlsPort };
}
