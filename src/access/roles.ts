/** The rights of a user; each role includes the lower ones: `read` < `upload` < `admin`. */
export type Role = 'read' | 'upload' | 'admin';

/** An authenticated user. */
export interface Identity {
  readonly name: string;
  /** undefined: the user has no rights (an LDAP user outside the group of readers). */
  readonly role: Role | undefined;
}

const RANK: Readonly<Record<Role, number>> = { read: 1, upload: 2, admin: 3 };

/** Whether the role includes `needed`. */
export function isAllowed(held: Role | undefined, needed: Role): boolean {
  return held !== undefined && RANK[held] >= RANK[needed];
}

/** The highest of the roles; undefined if there are none. */
export function highestRole(...roles: readonly (Role | undefined)[]): Role | undefined {
  let highest: Role | undefined;
  for (const role of roles) {
    if (role !== undefined && !isAllowed(highest, role)) highest = role;
  }
  return highest;
}

/** `upload-users` and `admin-users` of config.ini. Names are compared exactly. */
export interface RoleLists {
  readonly uploadUsers: readonly string[];
  readonly adminUsers: readonly string[];
}

/** @returns a function from a name to its role in the lists */
export function createRoleLookup({ uploadUsers, adminUsers }: RoleLists): (name: string) => Role | undefined {
  const upload = new Set(uploadUsers);
  const admin = new Set(adminUsers);
  return (name) => {
    if (admin.has(name)) return 'admin';
    return upload.has(name) ? 'upload' : undefined;
  };
}
