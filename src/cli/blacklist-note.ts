import { blacklistedBy } from '../operations/lookup.ts';
import type { Terminal } from './terminal/terminal.ts';

/** A note for a software URL that nodes with the default slapos.cfg never look up in a cache. */
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
