/** What somebody may do; each includes those before it: `read` < `upload` < `admin`. */
export type Role = 'read' | 'upload' | 'admin';

/** Somebody who proved who they are. */
export interface Identity {
  readonly name: string;
  /** undefined: known, but not allowed anything (an LDAP person outside the group of readers). */
  readonly role: Role | undefined;
}

const RANK: Readonly<Record<Role, number>> = { read: 1, upload: 2, admin: 3 };

/** Whether a role, or having none, is enough where `needed` is asked for. */
export function isAllowed(held: Role | undefined, needed: Role): boolean {
  return held !== undefined && RANK[held] >= RANK[needed];
}

/** The strongest of some roles; undefined when there is none among them. */
export function highestRole(...roles: readonly (Role | undefined)[]): Role | undefined {
  let highest: Role | undefined;
  for (const role of roles) {
    if (role !== undefined && !isAllowed(highest, role)) highest = role;
  }
  return highest;
}

/** `upload-users` and `admin-users` of config.ini. Names count exactly as written, upper and lower case too. */
export interface RoleLists {
  readonly uploadUsers: readonly string[];
  readonly adminUsers: readonly string[];
}

/** @returns the function from a name to the role that the lists give it, undefined for names on neither */
export function createRoleLookup({ uploadUsers, adminUsers }: RoleLists): (name: string) => Role | undefined {
  const upload = new Set(uploadUsers);
  const admin = new Set(adminUsers);
  return (name) => {
    if (admin.has(name)) return 'admin';
    return upload.has(name) ? 'upload' : undefined;
  };
}
