import type { Config } from '../config/config.ts';
import type { AccessControl } from '../http/access-control.ts';

/** `[access]`, ready to be asked. */
export function createAccess({ access }: Config): AccessControl {
  return { anonymous: access.anonymous === 'none' ? undefined : access.anonymous };
}
