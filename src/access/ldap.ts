import { type Client, EqualityFilter, OrFilter, ResultCodeError } from 'ldapts';
import { quoteBriefly } from '../cache/digest.ts';
import { CacheError, messageOf, systemCode, throwProgrammingError } from '../cache/errors.ts';
import { formatTime } from '../cache/time.ts';
import { isName, isPassword } from './credentials.ts';
import { withLdapConnection } from './ldap-connection.ts';
import { bindDnOf } from './ldap-name.ts';
import { type LdapServerOptions, openLdapServer } from './ldap-server.ts';
import type { Role } from './roles.ts';

/** The `ldap-…` keys of config.ini. */
export interface LdapOptions extends LdapServerOptions {
  /** Contains `{user}`. */
  readonly bindDn: string;
  /** Distinguished names. Members are found by `member` and `uniqueMember` (the bind DN) or `memberUid` (the name). */
  readonly readGroup: string | undefined;
  readonly uploadGroup: string | undefined;
  readonly adminGroup: string | undefined;
}

/** The users of an LDAP server. */
export interface LdapPeople {
  /**
   * Binds with name and password over a new connection, and searches the groups for the user.
   * @returns undefined when the server refuses the bind; otherwise the highest role of the groups, if any
   * @throws CacheError `unavailable` when the server can't be reached, or its answer is no decision
   */
  verify(name: string, password: string): Promise<{ readonly role: Role | undefined } | undefined>;
}

export interface LdapParts {
  /** Called once for each group that users can't read. */
  readonly report: (problem: CacheError) => void;
  /** Milliseconds for one check, from connecting to the last group. */
  readonly limit?: number | undefined;
}

const LIMIT_MS = 5000;

// Result codes (RFC 4511, appendix A).
const NO_SUCH_OBJECT = 32;
const INSUFFICIENT_ACCESS = 50;
/** Result codes of a bind that was refused because of name or password. */
const REFUSALS: readonly number[] = [
  19, // constraintViolation: 389 Directory Server after too many wrong passwords
  NO_SUCH_OBJECT,
  34, // invalidDNSyntax
  48, // inappropriateAuthentication: the user has no password
  49, // invalidCredentials
  53, // unwillingToPerform: 389 Directory Server, for a locked account
];

/** @throws CacheError `config` when the CA file can't be read or holds no certificate */
export async function createLdapPeople(
  options: LdapOptions,
  { report, limit = LIMIT_MS }: LdapParts,
): Promise<LdapPeople> {
  const server = await openLdapServer(options);
  const groups = groupsOf(options);
  const unreadable = new Set<string>();

  const isMember = async (client: Client, group: string, dn: string, name: string): Promise<boolean> => {
    try {
      const { searchEntries } = await client.search(group, {
        scope: 'base',
        // Built from objects: a name can't escape from a value, as it could in a text (RFC 4515, 3).
        filter: new OrFilter({
          filters: [
            new EqualityFilter({ attribute: 'member', value: dn }),
            new EqualityFilter({ attribute: 'uniqueMember', value: dn }),
            new EqualityFilter({ attribute: 'memberUid', value: name }),
          ],
        }),
        attributes: ['1.1'],
      });
      unreadable.delete(group);
      return searchEntries.length > 0;
    } catch (error) {
      if (resultCode(error) !== NO_SUCH_OBJECT && resultCode(error) !== INSUFFICIENT_ACCESS) throw error;
      if (!unreadable.has(group)) report(unreadableGroup(options.url, group, error));
      unreadable.add(group);
      return false;
    }
  };

  return {
    async verify(name, password) {
      if (!isName(name) || !isPassword(password)) return undefined;
      const dn = bindDnOf(options.bindDn, name);
      if (dn === undefined) return undefined;
      try {
        return await withLdapConnection(server, limit, async (client) => {
          if (!(await bind(client, dn, password))) return undefined;
          for (const { role, group } of groups) {
            if (group === undefined || (await isMember(client, group, dn, name))) return { role };
          }
          return { role: undefined };
        });
      } catch (error) {
        throwProgrammingError(error);
        throw new CacheError('unavailable', `${options.url}: ${reasonOf(error)}`, { cause: error });
      }
    },
  };
}

interface RoleGroup {
  readonly role: Role;
  /** undefined: every user has the role. */
  readonly group: string | undefined;
}

/** From the highest role down. */
function groupsOf({ readGroup, uploadGroup, adminGroup }: LdapOptions): readonly RoleGroup[] {
  const groups: RoleGroup[] = [];
  if (adminGroup !== undefined) groups.push({ role: 'admin', group: adminGroup });
  if (uploadGroup !== undefined) groups.push({ role: 'upload', group: uploadGroup });
  return [...groups, { role: 'read', group: readGroup }];
}

async function bind(client: Client, dn: string, password: string): Promise<boolean> {
  try {
    await client.bind(dn, password);
    return true;
  } catch (error) {
    const code = resultCode(error);
    if (code !== undefined && REFUSALS.includes(code)) return false;
    throw error;
  }
}

function resultCode(error: unknown): number | undefined {
  return error instanceof ResultCodeError ? error.code : undefined;
}

function reasonOf(error: unknown): string {
  const code = resultCode(error);
  if (code !== undefined && error instanceof Error) return `answers with result ${code}: ${error.message}`;
  switch (systemCode(error)) {
    case 'ECONNREFUSED':
      return 'connection refused (ECONNREFUSED)';
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return 'host name not found';
    case 'CERT_HAS_EXPIRED':
    case 'CERT_NOT_YET_VALID':
      return `${messageOf(error)}; this machine's clock says ${formatTime(new Date())}: set the clock that is wrong, or renew the certificate or its CA`;
    case undefined:
    default:
      return messageOf(error);
  }
}

function unreadableGroup(url: string, group: string, cause: unknown): CacheError {
  return new CacheError(
    'config',
    `${url}: group ${quoteBriefly(group)} does not exist, or users may not read it; it counts as empty`,
    { cause },
  );
}
