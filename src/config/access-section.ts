import { z } from 'zod';
import { parseBindDn, parseGroupDn, parseLdapUrl } from './ldap-value.ts';
import { addFault, textSchema } from './text-schema.ts';
import { parseBoolean, parseChoice, parseList } from './value.ts';

/** `[access]`; paths are absolute. */
export interface AccessConfig {
  /** What is allowed without a name. */
  readonly anonymous: 'none' | 'read' | 'upload';
  readonly htpasswdFile: string | undefined;
  /** Given only where the server speaks TLS. */
  readonly clientCaFile: string | undefined;
  readonly ldap: LdapConfig | undefined;
  readonly uploadUsers: readonly string[];
  readonly adminUsers: readonly string[];
}

/** How names and passwords are asked of an LDAP server. */
interface LdapConfig {
  /** `ldap://…` or `ldaps://…`, host and port only. */
  readonly url: string;
  /** Only with `ldap://`. */
  readonly startTls: boolean;
  /** Whose certificates the LDAP server's must be signed by; undefined: the system's. */
  readonly caFile: string | undefined;
  /** Holds `{user}`, to be replaced by the user's name, escaped as RFC 4514 wants it. */
  readonly bindDn: string;
  /** The group whose members may read; undefined: whoever can bind. */
  readonly readGroup: string | undefined;
  /** Groups whose members have the role, beside `uploadUsers` and `adminUsers`. */
  readonly uploadGroup: string | undefined;
  readonly adminGroup: string | undefined;
}

/** @param path the schema of a path */
export function createAccessSection(path: z.ZodType<string, string>) {
  return z.object({
    anonymous: textSchema((text) => parseChoice(text, ['none', 'read', 'upload'])).default('read'),
    'htpasswd-file': path.optional(),
    'client-ca-file': path.optional(),
    'ldap-url': textSchema(parseLdapUrl).optional(),
    'ldap-start-tls': textSchema(parseBoolean).default(false),
    'ldap-ca-file': path.optional(),
    'ldap-bind-dn': textSchema(parseBindDn).optional(),
    'ldap-read-group': textSchema(parseGroupDn).optional(),
    'ldap-upload-group': textSchema(parseGroupDn).optional(),
    'ldap-admin-group': textSchema(parseGroupDn).optional(),
    'upload-users': textSchema(parseList).default([]),
    'admin-users': textSchema(parseList).default([]),
  });
}

type AccessValues = z.output<ReturnType<typeof createAccessSection>>;

/** Joins the keys of `[access]`; what doesn't go together becomes an issue. */
export function toAccessConfig(values: AccessValues, context: z.RefinementCtx): AccessConfig {
  const ldap = toLdapConfig(values, context);
  const htpasswdFile = values['htpasswd-file'];
  const clientCaFile = values['client-ca-file'];
  if (htpasswdFile === undefined && clientCaFile === undefined && values['ldap-url'] === undefined) {
    refuseNamesOfNobody(values, context);
  }
  return {
    anonymous: values.anonymous,
    htpasswdFile,
    clientCaFile,
    ldap,
    uploadUsers: values['upload-users'],
    adminUsers: values['admin-users'],
  };
}

/** Without a way to tell who asks, no rule about users can ever apply. */
function refuseNamesOfNobody(values: AccessValues, context: z.RefinementCtx): void {
  const ways = 'htpasswd-file, client-ca-file or ldap-url';
  for (const key of ['upload-users', 'admin-users'] as const) {
    if (values[key].length > 0) addFault(context, key, `nobody can prove who they are; give ${ways} too`);
  }
  if (values.anonymous === 'none') {
    addFault(
      context,
      'anonymous',
      `none shuts everybody out, as nobody can prove who they are; give ${ways} too`,
    );
  }
}

function toLdapConfig(values: AccessValues, context: z.RefinementCtx): LdapConfig | undefined {
  const url = values['ldap-url'];
  const bindDn = values['ldap-bind-dn'];
  const startTls = values['ldap-start-tls'];
  const caFile = values['ldap-ca-file'];
  const readGroup = values['ldap-read-group'];
  const uploadGroup = values['ldap-upload-group'];
  const adminGroup = values['ldap-admin-group'];
  if (url === undefined) {
    const orphans = {
      'ldap-bind-dn': bindDn !== undefined,
      'ldap-start-tls': startTls,
      'ldap-ca-file': caFile !== undefined,
      'ldap-read-group': readGroup !== undefined,
      'ldap-upload-group': uploadGroup !== undefined,
      'ldap-admin-group': adminGroup !== undefined,
    };
    for (const [key, isGiven] of Object.entries(orphans)) {
      if (isGiven)
        addFault(context, key, 'has no server; give ldap-url = ldaps://HOST too, or remove the line');
    }
    return undefined;
  }
  if (bindDn === undefined) {
    addFault(
      context,
      'ldap-url',
      'needs to know how users bind; give ldap-bind-dn = uid={user},ou=people,dc=example,dc=org too',
    );
    return undefined;
  }
  const isSecure = /^ldaps:/i.test(url);
  if (isSecure && startTls) {
    addFault(
      context,
      'ldap-start-tls',
      'starts TLS where ldaps:// already speaks it; write ldap:// or remove the line',
    );
  }
  if (!isSecure && !startTls && caFile !== undefined) {
    addFault(
      context,
      'ldap-ca-file',
      'has no use without TLS; set ldap-start-tls = true or write ldaps:// in ldap-url',
    );
  }
  if (readGroup !== undefined && values.anonymous !== 'none') {
    addFault(context, 'ldap-read-group', 'shuts nobody out while everybody may read; set anonymous = none');
  }
  return { url, startTls, caFile, bindDn, readGroup, uploadGroup, adminGroup };
}
