import { LRUCache } from 'lru-cache';
import { createHmac, randomBytes } from 'node:crypto';
import type { CacheError } from '../cache/errors.ts';
import { monotonicClock, type Clock } from './clock.ts';
import { isName, isPassword } from './credentials.ts';
import { createFairQueue } from './fair-queue.ts';
import { openHtpasswdFile } from './htpasswd-file.ts';
import { createLdapPeople, type LdapOptions } from './ldap.ts';
import { networkOf } from './network.ts';
import type { MatchesHash } from './password-thread.ts';
import { createRoleLookup, highestRole, type Identity, type Role, type RoleLists } from './roles.ts';
import { createSingleFlight } from '../cache/single-flight.ts';
import { createThrottle } from './throttle.ts';

/** Identifies users, and gives them their roles. */
export interface Authenticator {
  /** The role of anonymous users; undefined: none. */
  readonly anonymous: Role | undefined;
  /** Whether any user can have a password. */
  readonly acceptsPasswords: boolean;
  /**
   * Checks a name in the htpasswd file, or any other name in LDAP. A right password is remembered for a minute, or until
   * the file changes; wrong passwords are answered more and more slowly.
   * @param remoteAddress of the client, if known: clients of one network are slowed together
   * @returns undefined when name or password is wrong
   * @throws CacheError `unavailable` when LDAP can't be reached, or too many checks wait; `too-many` for one network's
   */
  withPassword(name: string, password: string, remoteAddress: string): Promise<Identity | undefined>;
  /**
   * @param commonName of a client certificate that was verified against the client CA
   * @returns undefined for an invalid name
   */
  withCertificate(commonName: string): Identity | undefined;
}

/** The keys of `[access]` in config.ini that identify users. */
export interface AuthenticatorOptions extends RoleLists {
  readonly anonymous: 'none' | Role;
  readonly htpasswdFile: string | undefined;
  readonly ldap: LdapOptions | undefined;
}

export interface AuthenticatorParts {
  /** Called once for each fault of a file or a group; the program continues. */
  readonly report: (problem: CacheError) => void;
  readonly clock?: Clock | undefined;
  readonly matches?: MatchesHash | undefined;
  /** Milliseconds for one check in LDAP. */
  readonly ldapLimit?: number | undefined;
}

const REMEMBER_MS = 60_000;
const REMEMBERED_LIMIT = 1000;
/** One thread checks passwords: the other cores serve requests without a password. */
const HASHING = { concurrency: 1, maxWaiting: 128 };
/** Connections to the LDAP server. */
const ASKING = { concurrency: 8, maxWaiting: 64 };

/** @throws CacheError `config` when a file can't be read or is invalid */
export async function createAuthenticator(
  { anonymous, htpasswdFile, ldap, uploadUsers, adminUsers }: AuthenticatorOptions,
  { report, clock = monotonicClock, matches, ldapLimit }: AuthenticatorParts,
): Promise<Authenticator> {
  const file =
    htpasswdFile === undefined ? undefined : await openHtpasswdFile(htpasswdFile, { report, clock, matches });
  const people = ldap === undefined ? undefined : await createLdapPeople(ldap, { report, limit: ldapLimit });
  const listedRole = createRoleLookup({ uploadUsers, adminUsers });
  const throttle = createThrottle(clock);
  const hashing = createFairQueue(HASHING);
  const asking = createFairQueue(ASKING);
  const shareAttempt = createSingleFlight<Identity | undefined>();
  const shareCheck = createSingleFlight<Identity | undefined>();
  const remembered = new LRUCache<string, Identity>({
    max: REMEMBERED_LIMIT,
    ttl: REMEMBER_MS,
    ttlResolution: 0,
    perf: clock,
  });
  const proofKey = randomBytes(32);

  const identify = (name: string, role: Role | undefined): Identity => ({
    name,
    role: highestRole(role, listedRole(name)),
  });

  /** @param lane the queue of the check */
  const check = async (name: string, password: string, lane: string): Promise<Identity | undefined> => {
    const verdict = await (file && hashing.run(lane, () => file.verify(name, password)));
    if (verdict === 'right') return identify(name, 'read');
    if (verdict === 'wrong' || people === undefined) return undefined;
    const found = await asking.run(lane, () => people.verify(name, password));
    return found && identify(name, found.role);
  };

  return {
    anonymous: anonymous === 'none' ? undefined : anonymous,
    acceptsPasswords: file !== undefined || people !== undefined,
    async withPassword(name, password, remoteAddress) {
      if (!isName(name) || !isPassword(password)) return undefined;
      await file?.refresh();
      const network = networkOf(remoteAddress);
      const credentials = createHmac('sha256', proofKey).update(`${name}\0${password}`).digest('base64');
      // The generation voids all results of an old file, also of running checks.
      const proof = `${file?.generation ?? 0} ${credentials}`;
      // The same attempt again from one network shares its place and its answer.
      return shareAttempt(`${network} ${proof}`, () =>
        // Remembered passwords are throttled too: otherwise only a right guess would get an answer.
        throttle.attempt(network, name, async () => {
          const known = remembered.get(proof);
          if (known !== undefined) return known;
          const found = await shareCheck(proof, () => check(name, password, network));
          if (found !== undefined) remembered.set(proof, found);
          return found;
        }),
      );
    },
    withCertificate(commonName) {
      return isName(commonName) ? identify(commonName, 'read') : undefined;
    },
  };
}
