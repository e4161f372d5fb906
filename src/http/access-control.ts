import type { Socket } from 'node:net';
import { TLSSocket, type PeerCertificate } from 'node:tls';
import { CacheError } from '../cache/errors.ts';
import { formatTime } from '../cache/time.ts';
import type { Handler } from './methods.ts';

/** The rights of a user; each role includes the lower ones: `read` < `upload` < `admin`. */
export type Role = 'read' | 'upload' | 'admin';

/** An authenticated user. */
export interface Identity {
  readonly name: string;
  /** undefined: the user has no rights. */
  readonly role: Role | undefined;
}

/** Authentication and roles, independent of HTTP. */
export interface AccessControl {
  /** The role of anonymous users; undefined: none. */
  readonly anonymous: Role | undefined;
  /**
   * Omitted if no user has a password.
   * @returns undefined when name or password is wrong
   * @throws CacheError `unavailable` when the check is not possible now, `too-many`
   */
  readonly withPassword?: (name: string, password: string, remote: string) => Promise<Identity | undefined>;
  /** Omitted if the server requests no client certificates. @returns undefined for an invalid name */
  readonly withCertificate?: (commonName: string) => Identity | undefined;
}

const RANK: Readonly<Record<Role, number>> = { read: 1, upload: 2, admin: 3 };

/** Wraps a handler: users without the role get 401 if a name and password may help, 403 otherwise. */
export function requireRole(access: AccessControl, role: Role, handler: Handler): Handler {
  const isEnough = (given: Role | undefined): boolean => given !== undefined && RANK[given] >= RANK[role];

  return (c) => {
    const { incoming, record } = c.env;
    const { socket, headers } = incoming;
    const authorization = access.withPassword === undefined ? undefined : headers.authorization;
    // Nearly all requests: answered without a promise.
    if (authorization === undefined && isEnough(access.anonymous) && role === 'read') return handler(c);
    return identify().then((identity) => {
      if (identity !== undefined) {
        record.user = identity.name;
        record.isAdmin = identity.role === 'admin';
      }
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
        // Anonymous rights don't depend on an LDAP server.
        const isUnknown = error instanceof CacheError && error.code === 'unavailable';
        if (isUnknown && isEnough(access.anonymous)) return byCertificate;
        throw error;
      }
      if (identity === undefined) throw new CacheError('unauthorized', WRONG_PASSWORD);
      return identity;
    }

    function refusalOfUnknown(): CacheError {
      if (access.withPassword !== undefined)
        return new CacheError('unauthorized', NO_PASSWORD + faultOfCertificate(socket));
      if (access.withCertificate !== undefined)
        return new CacheError('forbidden', NO_CERTIFICATE + faultOfCertificate(socket));
      return new CacheError(
        'forbidden',
        'uploads are disabled; in config.ini, [access] anonymous = upload allows them to all clients, upload-users with htpasswd-file, client-ca-file or ldap-url to some',
      );
    }

    function refusalOfKnown({ name }: Identity): CacheError {
      return new CacheError(
        'forbidden',
        `${name} may not do this; the role "${role}" is required: ${adviceOnRole(name, role)}`,
      );
    }
  };
}

const NO_PASSWORD =
  'a user name and password are required; in slapos.cfg, write them into the upload URLs: http://USER:PASSWORD@HOST';
// Without the name: a user may have written the password in its place.
const WRONG_PASSWORD =
  'wrong user name or password; correct them in the upload URLs of the client, or set a new password with htpasswd(1) or in LDAP';
const NO_CERTIFICATE =
  'a client certificate is required; in slapos.cfg, set shacache-cert-file, shacache-key-file, shadir-cert-file and shadir-key-file';

function adviceOnRole(name: string, role: Role): string {
  return role === 'read'
    ? `in LDAP, add ${name} to the group ldap-read-group in [access] of config.ini`
    : `in config.ini, add ${name} to ${role}-users in [access]`;
}

/** Why the certificate that the client sent, if any, identifies no user. */
function faultOfCertificate(socket: Socket): string {
  if (!(socket instanceof TLSSocket) || Object.keys(socket.getPeerCertificate()).length === 0) return '';
  const fault = socket.authorized
    ? 'its subject has no single common name (CN)'
    : `${String(socket.authorizationError)}; ${adviceOnCertificate(socket)}`;
  return `. The certificate of the client does not count: ${fault}`;
}

function adviceOnCertificate(socket: TLSSocket): string {
  switch (String(socket.authorizationError)) {
    case 'CERT_HAS_EXPIRED':
    case 'CERT_NOT_YET_VALID': {
      const { valid_from: from, valid_to: to } = socket.getPeerCertificate();
      return `it is valid from ${from} to ${to}, and the clock of the server says ${formatTime(new Date())}; renew it, or its CA in client-ca-file`;
    }
    case 'INVALID_PURPOSE':
      return 'it must be one for clients (clientAuth)';
    // Codes of OpenSSL that Node has no names for, such as a short key or SHA-1.
    case 'UNSPECIFIED':
      return 'it may be too weak; replace it, with an RSA key of 2048 bits or more and SHA-256';
    default:
      return 'its CA must be in client-ca-file in [access]';
  }
}

/** The subject's name in a client certificate that `client-ca-file` verifies. */
function commonNameOf(socket: TLSSocket): string | undefined {
  if (!socket.authorized) return undefined;
  // A resumed TLS 1.3 session is authorized even without a certificate; then this is empty.
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
    throw new CacheError('unauthorized', 'only HTTP Basic authentication is supported (RFC 7617)');
  return [text.slice(0, colon), text.slice(colon + 1)];
}
