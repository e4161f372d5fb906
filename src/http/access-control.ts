import { TLSSocket, type PeerCertificate } from 'node:tls';
import { CacheError } from '../cache/errors.ts';
import type { Handler } from './methods.ts';

/** What somebody may do; each includes the ones before it. */
export type Role = 'read' | 'upload' | 'admin';

/** Somebody who proved who they are. */
export interface Identity {
  readonly name: string;
  /** undefined: known, but not allowed anything. */
  readonly role: Role | undefined;
}

/** Who may do what, without any knowledge of HTTP. */
export interface AccessControl {
  /** What is allowed without a name; undefined: nothing. */
  readonly anonymous: Role | undefined;
  /**
   * Left out where nobody has a password.
   * @returns undefined when name or password is wrong
   * @throws CacheError `unavailable` when it can't be told just now, `too-many`
   */
  readonly withPassword?: (name: string, password: string, remote: string) => Promise<Identity | undefined>;
  /** Left out where no client certificates are asked for. @returns undefined for what can't be a name */
  readonly withCertificate?: (commonName: string) => Identity | undefined;
}

const RANK: Readonly<Record<Role, number>> = { read: 1, upload: 2, admin: 3 };

/**
 * A handler for those who have the role; the others get 401 when a name and password may help, and 403 otherwise.
 */
export function requireRole(access: AccessControl, role: Role, handler: Handler): Handler {
  const isEnough = (given: Role | undefined): boolean => given !== undefined && RANK[given] >= RANK[role];

  return (c) => {
    const { incoming, record } = c.env;
    const { socket, headers } = incoming;
    const authorization = access.withPassword === undefined ? undefined : headers.authorization;
    // Nearly every request: nothing to find out, nothing to wait for.
    if (authorization === undefined && isEnough(access.anonymous) && role === 'read') return handler(c);
    return identify().then((identity) => {
      if (identity !== undefined) record.user = identity.name;
      if (isEnough(identity?.role) || isEnough(access.anonymous)) return handler(c);
      throw identity === undefined ? refusalOfUnknown() : refusalOfKnown(identity);
    });

    async function identify(): Promise<Identity | undefined> {
      const commonName = socket instanceof TLSSocket ? commonNameOf(socket) : undefined;
      const byCertificate = commonName === undefined ? undefined : access.withCertificate?.(commonName);
      if (authorization === undefined || access.withPassword === undefined || isEnough(byCertificate?.role))
        return byCertificate;
      const [name, password] = parseBasic(authorization);
      let identity: Identity | undefined;
      try {
        identity = await access.withPassword(name, password, socket.remoteAddress ?? '');
      } catch (error) {
        // What everybody may do doesn't wait for an LDAP server.
        const isUnknown = error instanceof CacheError && error.code === 'unavailable';
        if (isUnknown && isEnough(access.anonymous)) return byCertificate;
        throw error;
      }
      if (identity === undefined) throw new CacheError('unauthorized', 'wrong user name or password');
      return identity;
    }

    function refusalOfUnknown(): CacheError {
      if (access.withPassword !== undefined)
        return new CacheError('unauthorized', 'a user name and password are needed');
      if (access.withCertificate !== undefined)
        return new CacheError('forbidden', 'a client certificate is needed');
      return new CacheError(
        'forbidden',
        'uploads are switched off here; in config.ini, [access] anonymous = upload allows them to everybody, upload-users with htpasswd-file, client-ca-file or ldap-url to some',
      );
    }

    function refusalOfKnown({ name }: Identity): CacheError {
      return new CacheError('forbidden', `${name} may not do this; the role "${role}" is needed`);
    }
  };
}

/** The subject's name in a client certificate that `client-ca-file` verifies. */
function commonNameOf(socket: TLSSocket): string | undefined {
  if (!socket.authorized) return undefined;
  // A TLS 1.3 session taken up again is authorized even where no certificate was ever shown; then this is empty.
  const { subject } = socket.getPeerCertificate() as Partial<PeerCertificate>;
  const name: unknown = subject?.CN;
  return typeof name === 'string' && name !== '' ? name : undefined;
}

/** @throws CacheError `unauthorized` */
function parseBasic(authorization: string): readonly [name: string, password: string] {
  const [, encoded] = /^basic +([A-Za-z0-9+/=_-]+) *$/i.exec(authorization) ?? [];
  const text = encoded === undefined ? '' : Buffer.from(encoded, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  if (colon < 1)
    throw new CacheError('unauthorized', 'only HTTP Basic authentication is known here (RFC 7617)');
  return [text.slice(0, colon), text.slice(colon + 1)];
}
