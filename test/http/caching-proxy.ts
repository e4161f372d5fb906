import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { freePorts, startInBackground } from '../../scripts/bench/process/background.ts';
import { startNginx } from '../fixtures/nginx.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import type { Place } from './raw-connection.ts';

export const PROXIES = ['varnishd', 'nginx'] as const;
export type Proxy = (typeof PROXIES)[number];

/** Starts a caching proxy in front of a server on the loopback; the test's end is its end. */
export function startCachingProxy(program: Proxy, backend: Place): Promise<Place> {
  return program === 'varnishd' ? startVarnish(backend) : startCachingNginx(backend);
}

/** With the rules that it comes with. */
async function startVarnish(backend: Place): Promise<Place> {
  const folder = await temporaryFolder();
  const [port = 0] = await freePorts(1);
  const args = [
    ...['-F', '-j', 'none', '-n', join(folder, 'varnish'), '-s', 'malloc,16m'],
    ...['-a', `127.0.0.1:${port}`, '-b', `${backend.host}:${backend.port}`],
  ];
  const { signal } = new AbortController();
  const varnish = await startInBackground('varnishd', args, { signal, logFile: join(folder, 'log'), port });
  onTestFinished(() => varnish.end());
  return { host: '127.0.0.1', port };
}

/** Told to keep every answer for an hour, as far as the answer doesn't forbid it. */
function startCachingNginx(backend: Place): Promise<Place> {
  return startNginx(
    ({ port, kept }) => `proxy_cache_path ${kept} keys_zone=kept:1m;
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://${backend.host}:${backend.port};
      proxy_cache kept;
      proxy_cache_valid any 1h;
    }
  }`,
  );
}
