import { z } from 'zod';
import { parseBindDn, parseGroupDn, parseLdapUrl } from './ldap-value.ts';
import { addFault, textSchema } from './text-schema.ts';
import { parseBoolean, parseChoice, parseList } from './value.ts';

/** `[access]`; paths are absolute. */
export interface AccessConfig {
  /** The role of anonymous users. */
  readonly anonymous: 'none' | 'read' | 'upload';
  /** The role that `/metrics` requires. */
  readonly metrics: 'none' | 'read' | 'admin';
  readonly htpasswdFile: string | undefined;
  /** Only with TLS. */
  readonly clientCaFile: string | undefined;
  readonly ldap: LdapConfig | undefined;
  readonly uploadUsers: readonly string[];
  readonly adminUsers: readonly string[];
}

/** How to check names and passwords with an LDAP server. */
interface LdapConfig {
  /** `ldap://…` or `ldaps://…`, host and port only. */
  readonly url: string;
  /** Only with `ldap://`. */
  readonly startTls: boolean;
  /** The CA of the LDAP server's certificate; undefined: the system's CAs. */
  readonly caFile: string | undefined;
  /** Contains `{user}`, to be replaced by the user's name, escaped by RFC 4514. */
  readonly bindDn: string;
  /** The group whose members may read; undefined: all users that can bind. */
  readonly readGroup: string | undefined;
  /** Groups whose members have the role, in addition to `uploadUsers` and `adminUsers`. */
  readonly uploadGroup: string | undefined;
  readonly adminGroup: string | undefined;
}

/** @param path the schema of a path */
export function createAccessSection(path: z.ZodType<string, string>) {
  return z.object({
    anonymous: textSchema((text) => parseChoice(text, ['none', 'read', 'upload'])).default('read'),
    metrics: textSchema((text) => parseChoice(text, ['none', 'read', 'admin'])).default('read'),
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

/** Joins the keys of `[access]`; reports conflicting keys as issues. */
export function toAccessConfig(values: AccessValues, context: z.RefinementCtx): AccessConfig {
  const ldap = toLdapConfig(values, context);
  const htpasswdFile = values['htpasswd-file'];
  const clientCaFile = values['client-ca-file'];
  if (htpasswdFile === undefined && clientCaFile === undefined && values['ldap-url'] === undefined) {
    refuseUnusableRules(values, context);
  }
  return {
    anonymous: values.anonymous,
    metrics: values.metrics,
    htpasswdFile,
    clientCaFile,
    ldap,
    uploadUsers: values['upload-users'],
    adminUsers: values['admin-users'],
  };
}

/** Without authentication, no rule about users can apply. */
function refuseUnusableRules(values: AccessValues, context: z.RefinementCtx): void {
  const ways = 'htpasswd-file, client-ca-file or ldap-url';
  for (const key of ['upload-users', 'admin-users'] as const) {
    if (values[key].length > 0)
      addFault(context, key, `has no effect without authentication; also set ${ways}`);
  }
  if (values.metrics === 'admin')
    addFault(context, 'metrics', `admin excludes all clients without authentication; also set ${ways}`);
  if (values.anonymous === 'none') {
    addFault(context, 'anonymous', `none excludes all clients without authentication; also set ${ways}`);
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
        addFault(context, key, 'has no server; also set ldap-url = ldaps://HOST, or remove the line');
    }
    return undefined;
  }
  if (bindDn === undefined) {
    addFault(
      context,
      'ldap-url',
      'requires the DN of users; also set ldap-bind-dn = uid={user},ou=people,dc=example,dc=org',
    );
    return undefined;
  }
  const isSecure = /^ldaps:/i.test(url);
  if (isSecure && startTls) {
    addFault(
      context,
      'ldap-start-tls',
      'conflicts with ldaps://, which already uses TLS; write ldap:// or remove the line',
    );
  }
  if (!isSecure && !startTls && caFile !== undefined) {
    addFault(
      context,
      'ldap-ca-file',
      'has no effect without TLS; set ldap-start-tls = true or write ldaps:// in ldap-url',
    );
  }
  if (readGroup !== undefined && values.anonymous !== 'none') {
    addFault(
      context,
      'ldap-read-group',
      'has no effect while anonymous users may read; set anonymous = none',
    );
  }
  return { url, startTls, caFile, bindDn, readGroup, uploadGroup, adminGroup };
}
