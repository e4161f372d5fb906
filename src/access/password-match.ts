import bcrypt from 'bcryptjs';
import { hash, timingSafeEqual } from 'node:crypto';
import { hashApr1 } from './apr1.ts';
import type { PasswordHash } from './password-hash.ts';

/**
 * Whether the password belongs to the hash, in constant time. As with `htpasswd -B`, bcrypt only uses the first 72 bytes.
 * Takes up to seconds: see `createPasswordThread`.
 */
export function matchesHash(password: string, known: PasswordHash): boolean {
  switch (known.scheme) {
    case 'bcrypt':
      return bcrypt.compareSync(password, known.text);
    case 'apr1':
      return timingSafeEqual(
        Buffer.from(hashApr1(Buffer.from(password), known.salt)),
        Buffer.from(known.digest),
      );
    case 'sha1':
      return timingSafeEqual(hash('sha1', Buffer.from(password), 'buffer'), known.digest);
  }
}
