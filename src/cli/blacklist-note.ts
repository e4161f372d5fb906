import { blacklistNote } from '../operations/lookup.ts';
import type { Terminal } from './terminal/terminal.ts';

export function noteBlacklist(url: string, terminal: Terminal): void {
  const note = blacklistNote(url);
  if (note !== undefined) terminal.warn(`note: ${note}`);
}
