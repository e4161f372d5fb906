import { quoteBriefly } from '../cache/digest.ts';
import { CacheError, throwProgrammingError } from '../cache/errors.ts';
import { parsePasswordHash, type PasswordHash } from './password-hash.ts';

/** The names of an htpasswd file with the hashes of their passwords. */
export type Htpasswd = ReadonlyMap<string, PasswordHash>;

/**
 * Reads an htpasswd file as Apache does: a `NAME:HASH` a line; ignores comment lines with `#`, white space around a line,
 * and text after a second colon. Unlike Apache it refuses unknown hashes and repeated names, of which one line would be
 * ignored.
 * @param label the file, for messages
 * @throws CacheError `config`, as `FILE:LINE: fault; advice`
 */
export function parseHtpasswd(bytes: Uint8Array, label: string): Htpasswd {
  const people = new Map<string, PasswordHash>();
  const lines = decode(bytes, label).split('\n');
  for (const [index, line] of lines.entries()) {
    const content = line.trim();
    if (content === '' || content.startsWith('#')) continue;
    const position = `${label}:${index + 1}`;
    const [name = '', hashText] = content.split(':', 2);
    if (hashText === undefined || name === '') {
      throw new CacheError('config', `${position}: not NAME:HASH; add users with htpasswd -B`);
    }
    if (people.has(name)) {
      throw new CacheError('config', `${position}: ${quoteBriefly(name)} is listed twice; remove one line`);
    }
    people.set(name, parseHashOf(name, hashText, position));
  }
  return people;
}

function decode(bytes: Uint8Array, label: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throwProgrammingError(error);
    throw new CacheError('config', `${label}: not UTF-8; convert it to UTF-8`, {
      cause: error,
    });
  }
}

function parseHashOf(name: string, hashText: string, position: string): PasswordHash {
  try {
    return parsePasswordHash(hashText);
  } catch (error) {
    if (!(error instanceof CacheError)) throw error;
    throw new CacheError(
      error.code,
      `${position}: the password of ${quoteBriefly(name)} ${error.message}; set it again with htpasswd -B`,
      { cause: error },
    );
  }
}
