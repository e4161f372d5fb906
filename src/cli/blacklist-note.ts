import { blacklistedBy } from '../operations/lookup.ts';
import type { Terminal } from './terminal/terminal.ts';

/** Tells of a software URL that nodes never ask any cache for, unless somebody changed their slapos.cfg. */
export function noteBlacklist(url: string, terminal: Terminal): void {
  const blacklist = blacklistedBy(url);
  if (blacklist === undefined) return;
  terminal.warn(
    `cache: note: nodes never ask a cache for this URL: the slapos.cfg that SlapOS ships has ${blacklist} in download-from-binary-cache-url-blacklist`,
  );
}
