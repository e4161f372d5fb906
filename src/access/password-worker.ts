import { setPriority } from 'node:os';
import { parentPort } from 'node:worker_threads';
import type { PasswordHash } from './password-hash.ts';
import { matchesHash } from './password-match.ts';

/** The program of the password thread: answers each message with whether the password belongs to the hash. */

// On Linux this is the priority of the thread; elsewhere it would be the whole server's.
if (process.platform === 'linux') setPriority(10);
parentPort?.on(
  'message',
  ({ password, known }: { readonly password: string; readonly known: PasswordHash }) => {
    parentPort?.postMessage(matchesHash(password, known));
  },
);
