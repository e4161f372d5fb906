import { setPriority } from 'node:os';
import { parentPort } from 'node:worker_threads';
import type { PasswordHash } from './password-hash.ts';
import { matchesHash } from './password-match.ts';

/** What `createPasswordThread` runs: answers each message with whether the password belongs to the hash. */

// Linux gives each thread a priority of its own; elsewhere it would be that of the whole server.
if (process.platform === 'linux') setPriority(10);
parentPort?.on(
  'message',
  ({ password, known }: { readonly password: string; readonly known: PasswordHash }) => {
    parentPort?.postMessage(matchesHash(password, known));
  },
);
