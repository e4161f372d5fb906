import { hostname, userInfo } from 'node:os';
import type { LocalActor } from '../cache/store-log.ts';

/** The user who runs this program; no proof, because a user who can write to the store can also claim another name. */
export function localActor(): LocalActor {
  const { SUDO_USER } = process.env;
  return { user: userName(), ...(SUDO_USER ? { sudoUser: SUDO_USER } : {}), host: hostname() };
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return `uid ${process.getuid?.() ?? ''}`; // A container often has no name for its user.
  }
}
