import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { freePorts, startInBackground } from '../../scripts/bench/process/background.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import type { Place } from './raw-connection.ts';

export const PROXIES = ['varnishd', 'nginx'] as const;
export type Proxy = (typeof PROXIES)[number];

/** Starts a caching proxy in front of a server on the loopback; the test's end is its end. */
export async function startCachingProxy(program: Proxy, backend: Place): Promise<Place> {
  const folder = await temporaryFolder();
  const [port = 0] = await freePorts(1);
  const args =
    program === 'varnishd'
      ? varnishArguments(folder, port, backend)
      : await nginxArguments(folder, port, backend);
  const { signal } = new AbortController();
  const process = await startInBackground(program, args, { signal, logFile: join(folder, 'log'), port });
  onTestFinished(() => process.end());
  return { host: '127.0.0.1', port };
}

/** With the rules that it comes with. */
function varnishArguments(folder: string, port: number, backend: Place): readonly string[] {
  return [
    ...['-F', '-j', 'none', '-n', join(folder, 'varnish'), '-s', 'malloc,16m'],
    ...['-a', `127.0.0.1:${port}`, '-b', `${backend.host}:${backend.port}`],
  ];
}

/** Told to keep every answer for an hour, as far as the answer doesn't forbid it. */
async function nginxArguments(folder: string, port: number, backend: Place): Promise<readonly string[]> {
  const config = join(folder, 'nginx.conf');
  await mkdir(join(folder, 'kept'));
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
    .map((name) => `${name}_temp_path ${folder}/${name};`)
    .join('\n');
  await writeFile(
    config,
    `${process.getuid?.() === 0 ? 'user root;' : ''}
daemon off;
worker_processes 1;
pid ${folder}/pid;
events {}
http {
  access_log off;
  ${temporary}
  proxy_cache_path ${folder}/kept keys_zone=kept:1m;
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://${backend.host}:${backend.port};
      proxy_cache kept;
      proxy_cache_valid any 1h;
    }
  }
}
`,
  );
  return ['-p', folder, '-e', join(folder, 'error.log'), '-c', config];
}
