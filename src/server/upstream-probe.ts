import { keyOfSoftwareUrl } from '../cache/key.ts';
import type { UploadTarget } from '../cache/source.ts';
import type { Config } from '../config/config.ts';
import { readServerAuthorities } from '../operations/server-authorities.ts';
import { IMPATIENT } from '../upstream/attempts.ts';
import { createUpstream } from '../upstream/client.ts';

/** Milliseconds to wait for an answer. */
const IDLE_LIMIT_MS = 10_000;

/**
 * Asks the upstream for the entries of a key that it need not have; undefined without `[upstream]`. The result fails if no
 * cache answers.
 */
export function createUpstreamProbe(config: Config): (() => Promise<unknown>) | undefined {
  const { upstream } = config;
  if (upstream === undefined) return undefined;
  let opened: UploadTarget | undefined;
  return async () => {
    opened ??= createUpstream(
      { directory: upstream.dirUrl, blobs: upstream.cacheUrl },
      {
        ...{ environment: process.env, patience: IMPATIENT, idleLimit: IDLE_LIMIT_MS },
        ca: await readServerAuthorities(config),
      },
    );
    return opened.entries(keyOfSoftwareUrl(''));
  };
}
