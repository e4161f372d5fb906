import { quoteBriefly } from '../cache/digest.ts';
import { CacheError } from '../cache/errors.ts';
import { isHost, parseLine } from './value.ts';

/**
 * `ldap://HOST[:PORT]` or `ldaps://HOST[:PORT]`, without a trailing `/`.
 * @throws CacheError `usage`
 */
export function parseLdapUrl(text: string): string {
  const url = parseLine(text).replace(/\/$/, '');
  const [, bracketed, bare, port = '389'] =
    /^ldaps?:\/\/(?:\[([^\]]+)\]|([^:/?#@]+))(?::(\d{1,5}))?$/i.exec(url) ?? [];
  if (!isHost(bracketed ?? bare ?? '') || Number(port) > 65535) {
    throw new CacheError(
      'usage',
      `not the address of an LDAP server: ${quoteBriefly(url)}; write ldap://HOST, ldaps://HOST or ldaps://HOST:PORT`,
    );
  }
  return url;
}

/**
 * The template of the DN that a user binds with; `{user}` is the user's name.
 * @throws CacheError `usage`
 */
export function parseBindDn(text: string): string {
  const template = parseLine(text);
  const placeholders = template.match(/\{[^}]*\}?|\}/g) ?? [];
  if (placeholders.length === 0 || placeholders.some((placeholder) => placeholder !== '{user}')) {
    throw new CacheError(
      'usage',
      `the user's name is missing: ${quoteBriefly(template)}; write {user} for it, as in uid={user},ou=people,dc=example,dc=org`,
    );
  }
  return template;
}

/**
 * The distinguished name of a group.
 * @throws CacheError `usage`
 */
export function parseGroupDn(text: string): string {
  const name = parseLine(text);
  if (!/^[a-z][a-z0-9.-]*\s*=\s*[^=\s]/i.test(name)) {
    throw new CacheError(
      'usage',
      `not the DN of a group: ${quoteBriefly(name)}; write the whole DN, as in cn=uploaders,ou=groups,dc=example,dc=org`,
    );
  }
  return name;
}
