import { hostname, userInfo } from 'node:os';
import type { LocalActor } from '../cache/store-log.ts';

/** Who runs this program. Whoever may write to the store could have told something else. */
export function localActor(): LocalActor {
  const { SUDO_USER } = process.env;
  return { user: userName(), ...(SUDO_USER ? { sudoUser: SUDO_USER } : {}), host: hostname() };
}

function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return `uid ${process.getuid?.() ?? ''}`; // A container often has no name for it.
  }
}
