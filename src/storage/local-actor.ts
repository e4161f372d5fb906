import { hostname } from 'node:os';
import type { LocalActor } from '../cache/store-log.ts';
import { userName } from '../cache/system-fault.ts';

/** The user who runs this program. This is no proof: a user who may write to the store can forge its log. */
export function localActor(): LocalActor {
  const { SUDO_USER } = process.env;
  return { user: userName(), ...(SUDO_USER ? { sudoUser: SUDO_USER } : {}), host: hostname() };
}
