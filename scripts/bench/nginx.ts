import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { HttpServer } from './http-server.ts';
import { TLS13_CIPHER } from './load/curl.ts';
import { freePorts, startInBackground } from './process/background.ts';
import { childrenOf } from './process/usage.ts';
import type { SiteKeys } from './server.ts';

/** The two that count: as packaged, and with large buffers, which is faster for many clients. */
export const NGINX_CONFIGURATIONS = [
  { name: 'nginx sendfile', directives: 'sendfile on; tcp_nopush on;' },
  { name: 'nginx buffers', directives: 'sendfile off; output_buffers 2 256k;' },
] as const;

export interface NginxOptions {
  readonly program: string;
  readonly name: string;
  readonly directives: string;
  /** Has the blobs in `bcache`. */
  readonly store: string;
  /** Has the answers of our server to lookups in `bdir`, a file a key. */
  readonly answers: string;
  readonly keys: SiteKeys;
  readonly signal: AbortSignal;
  /** The port of our server, which decides who gets a blob (docs/scaling.md); by default nobody is asked. */
  readonly decides?: number;
}

/** Starts an nginx of one worker with an access log, as we have one process; all its files are in `folder`. */
export async function startNginx(folder: string, options: NginxOptions): Promise<HttpServer> {
  const [port = 0, tlsPort = 0] = await freePorts(2);
  await mkdir(folder, { recursive: true });
  const config = join(folder, 'nginx.conf');
  const accessLog = join(folder, 'access.log');
  await writeFile(config, configurationOf(folder, accessLog, options, { port, tlsPort }));
  const master = await startInBackground(
    options.program,
    ['-p', folder, '-e', join(folder, 'error.log'), '-c', config],
    { signal: options.signal, logFile: accessLog, port },
  );
  try {
    const workerPid = await workerOf(master.pid, options.signal);
    return { ...master, name: options.name, workerPid, port, tlsPort };
  } catch (error) {
    await master.end();
    throw error;
  }
}

function askFirst(port: number, store: string): string {
  return `location /bcache/ {
      proxy_pass http://127.0.0.1:${port};
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header X-Sendfile-Type X-Accel-Redirect;
    }
    location /internal/ { internal; alias ${store}/bcache/; }`;
}

/** nginx takes connections before it has a worker that answers them. */
async function workerOf(master: number, signal: AbortSignal): Promise<number> {
  for (let attempt = 0; attempt < 500; attempt++) {
    const [worker] = await childrenOf(master);
    if (worker !== undefined) return worker;
    await sleep(10, undefined, { signal });
  }
  throw new Error('nginx has no worker');
}

function configurationOf(
  folder: string,
  accessLog: string,
  { directives, store, answers, keys, decides }: NginxOptions,
  { port, tlsPort }: { readonly port: number; readonly tlsPort: number },
): string {
  // Only root may name the worker's user; that of the packages couldn't enter our folder.
  const user = process.getuid?.() === 0 ? 'user root;' : '';
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${folder}/${name};`)
    .join('\n  ');
  return `${user}
daemon off;
worker_processes 1;
pid ${folder}/nginx.pid;
error_log ${folder}/error.log;
events { worker_connections 1024; }
http {
  access_log ${accessLog};
  ${temporary}
  ${directives}
  # The limit as packaged, 1000 requests a connection, would measure connecting.
  keepalive_requests 1000000000;
  server {
    listen 127.0.0.1:${port} backlog=1024;
    listen 127.0.0.1:${tlsPort} ssl;
    ssl_certificate ${keys.tlsCertificate};
    ssl_certificate_key ${keys.tlsKey};
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_conf_command Ciphersuites ${TLS13_CIPHER};
    ${decides === undefined ? `location /bcache/ { root ${store}; default_type application/octet-stream; }` : askFirst(decides, store)}
    location /bdir/ { root ${answers}; default_type application/json; }
  }
}
`;
}
