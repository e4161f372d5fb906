import { blacklistedBy } from '../operations/lookup.ts';
import type { Terminal } from './terminal/terminal.ts';

/** What there is to be told of a software URL that nodes never ask any cache for, unless somebody changed their slapos.cfg. */
export function blacklistNote(url: string): string | undefined {
  const blacklist = blacklistedBy(url);
  return blacklist === undefined
    ? undefined
    : `nodes never ask a cache for this URL: the slapos.cfg that SlapOS ships has ${blacklist} in download-from-binary-cache-url-blacklist`;
}

export function noteBlacklist(url: string, terminal: Terminal): void {
  const note = blacklistNote(url);
  if (note !== undefined) terminal.warn(`note: ${note}`);
}
