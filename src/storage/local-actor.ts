import { hostname, userInfo } from 'node:os';
import type { LocalActor } from '../cache/store-log.ts';

/** The user who runs this program. This is no proof: a user who may write to the store can forge its log. */
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
