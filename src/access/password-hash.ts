import { CacheError } from '../cache/errors.ts';

/** A password hash of `htpasswd`: `-B` bcrypt, `-m` apr1, `-s` SHA-1. */
export type PasswordHash =
  | { readonly scheme: 'bcrypt'; readonly text: string }
  | { readonly scheme: 'apr1'; readonly salt: string; readonly digest: string }
  | { readonly scheme: 'sha1'; readonly digest: Uint8Array };

/** Highest cost of `htpasswd -C`; it takes 9 s, and each step doubles the time. */
const BCRYPT_COST_LIMIT = 17;

/**
 * Parses the text after `NAME:`. No message quotes it: it may be a password in plain text.
 * @throws CacheError `config`, naming the unsupported form
 */
export function parsePasswordHash(text: string): PasswordHash {
  const cost = /^\$2[aby]\$(\d\d)\$[./A-Za-z0-9]{53}$/.exec(text)?.[1];
  if (cost !== undefined) {
    if (Number(cost) >= 4 && Number(cost) <= BCRYPT_COST_LIMIT) return { scheme: 'bcrypt', text };
    throw new CacheError('config', `has a bcrypt cost of ${cost}; supported are 4 to ${BCRYPT_COST_LIMIT}`);
  }
  const [, salt, digest] = /^\$apr1\$([!-#%-9;-~]{1,8})\$([./A-Za-z0-9]{21}[./01])$/.exec(text) ?? [];
  if (salt !== undefined && digest !== undefined) return { scheme: 'apr1', salt, digest };
  const sha1 = /^\{SHA\}([+/A-Za-z0-9]{27}=)$/.exec(text)?.[1];
  if (sha1 !== undefined) return { scheme: 'sha1', digest: Buffer.from(sha1, 'base64') };
  throw new CacheError('config', `is ${formOf(text)}, which is not supported`);
}

function formOf(text: string): string {
  if (/^(\$2[aby]\$|\$apr1\$|\{SHA\})/.test(text)) return 'a truncated or mistyped hash';
  if (text.startsWith('$5$')) return 'SHA-256 crypt ($5$)';
  if (text.startsWith('$6$')) return 'SHA-512 crypt ($6$)';
  if (text.startsWith('$1$')) return 'MD5 crypt ($1$)';
  if (/^\$[a-z0-9-]+\$/i.test(text)) return 'a hash of another kind';
  if (text === '') return 'empty';
  return 'plain text or crypt(3)';
}
