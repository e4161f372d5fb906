/*
 * Checks before any file or server is asked. Both limits are far above real names and passwords; they bound the work and
 * memory that a stranger can cause.
 */

/** UTF-16 units. */
const NAME_LIMIT = 256;
/** Bytes of UTF-8. */
const PASSWORD_LIMIT = 1024;

/** Whether this can be a user's name: not empty, no control characters (RFC 7617, 2). */
export function isName(name: string): boolean {
  return name !== '' && name.length <= NAME_LIMIT && name.isWellFormed() && !/\p{Cc}/u.test(name);
}

/**
 * Whether this can be a password. An LDAP server answers an empty one with "success", as an anonymous bind (RFC 4513,
 * 5.1.2). For programs in C `secret` and `secret\0x` are the same.
 */
export function isPassword(password: string): boolean {
  return (
    password !== '' &&
    password.isWellFormed() &&
    !password.includes('\0') &&
    Buffer.byteLength(password) <= PASSWORD_LIMIT
  );
}
