/*
 * What is looked at before any file or server is asked. Both limits are far above what people have; they bound the
 * work and the memory that a stranger can cause.
 */

/** UTF-16 units. */
const NAME_LIMIT = 256;
/** Bytes of UTF-8. */
const PASSWORD_LIMIT = 1024;

/** Whether somebody can have this name: no control characters (RFC 7617, 2 forbids them), not empty. */
export function isName(name: string): boolean {
  return name !== '' && name.length <= NAME_LIMIT && name.isWellFormed() && !/\p{Cc}/u.test(name);
}

/**
 * Whether this can be a password. The empty one is none: an LDAP server takes it for an anonymous bind and answers
 * "success" (RFC 4513, 5.1.2). NUL is refused because programs in C end there: `secret` and `secret\0x` would be one.
 */
export function isPassword(password: string): boolean {
  return (
    password !== '' &&
    password.isWellFormed() &&
    !password.includes('\0') &&
    Buffer.byteLength(password) <= PASSWORD_LIMIT
  );
}
