import { hash } from 'node:crypto';

const MAGIC = '$apr1$';
const ALPHABET = './0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
/** The bytes of the digest in each group of four characters, in the order of `apr_md5_encode` (apr-util). */
const GROUPS = [
  [0, 6, 12],
  [1, 7, 13],
  [2, 8, 14],
  [3, 9, 15],
  [4, 10, 5],
] as const;

/**
 * Apache's MD5 password hash, `$apr1$`, as `htpasswd -m` and `openssl passwd -apr1` compute it.
 * @param password its bytes
 * @param salt at most 8 ASCII characters
 * @returns the 22 characters after the salt
 */
export function hashApr1(password: Uint8Array, salt: string): string {
  const saltBytes = Buffer.from(salt, 'ascii');
  const inner = md5([password, saltBytes, password]);
  const seed: Uint8Array[] = [password, Buffer.from(MAGIC), saltBytes];
  for (let left = password.length; left > 0; left -= 16) seed.push(inner.subarray(0, Math.min(16, left)));
  for (let bits = password.length; bits > 0; bits >>= 1) {
    seed.push((bits & 1) === 1 ? Buffer.of(0) : password.subarray(0, 1));
  }
  let digest = md5(seed);
  for (let round = 0; round < 1000; round++) {
    const isOdd = (round & 1) === 1;
    const parts: Uint8Array[] = [isOdd ? password : digest];
    if (round % 3 !== 0) parts.push(saltBytes);
    if (round % 7 !== 0) parts.push(password);
    parts.push(isOdd ? digest : password);
    digest = md5(parts);
  }
  return encode(digest);
}

function md5(parts: readonly Uint8Array[]): Buffer {
  return hash('md5', Buffer.concat(parts), 'buffer');
}

function encode(digest: Buffer): string {
  const byte = (index: number): number => digest.readUInt8(index);
  const groups = GROUPS.map(([high, middle, low]) =>
    characters((byte(high) << 16) | (byte(middle) << 8) | byte(low), 4),
  );
  return groups.join('') + characters(byte(11), 2);
}

function characters(value: number, count: number): string {
  let text = '';
  for (let rest = value; text.length < count; rest >>= 6) text += ALPHABET.charAt(rest & 0x3f);
  return text;
}
