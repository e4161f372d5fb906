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
import { createSingleFlight } from './single-flight.ts';
import { createThrottle } from './throttle.ts';

/** Tells who somebody is and what they may do. */
export interface Authenticator {
  /** What is allowed without a name; undefined: nothing. */
  readonly anonymous: Role | undefined;
  /** Whether asking for a name and a password makes sense at all. */
  readonly acceptsPasswords: boolean;
  /**
   * A name that is in the htpasswd file is decided there; LDAP is asked for all others. A right password is remembered
   * for a minute, or until the file changes; wrong ones are answered more and more slowly.
   * @param remoteAddress of the client itself, as far as known: whoever shares it shares the slowness
   * @returns undefined when name and password don't fit
   * @throws CacheError `unavailable` when LDAP can't be asked, or too much is being checked; `too-many` where it is one network's
   */
  withPassword(name: string, password: string, remoteAddress: string): Promise<Identity | undefined>;
  /**
   * @param commonName of a client certificate that was verified against the client CA
   * @returns undefined for what can't be a name
   */
  withCertificate(commonName: string): Identity | undefined;
}

/** `[access]` of config.ini, as far as it tells people apart. */
export interface AuthenticatorOptions extends RoleLists {
  readonly anonymous: 'none' | Role;
  readonly htpasswdFile: string | undefined;
  readonly ldap: LdapOptions | undefined;
}

export interface AuthenticatorParts {
  /** Is told, once each, what is wrong with files and groups while everything goes on. */
  readonly report: (problem: CacheError) => void;
  readonly clock?: Clock | undefined;
  readonly matches?: MatchesHash | undefined;
  /** Milliseconds for one question to LDAP. */
  readonly ldapLimit?: number | undefined;
}

const REMEMBER_MS = 60_000;
const REMEMBERED_LIMIT = 1000;
/** Passwords are checked by one thread: the other cores are for those who need none. */
const HASHING = { concurrency: 1, maxWaiting: 128 };
/** Connections to the LDAP server. */
const ASKING = { concurrency: 8, maxWaiting: 64 };

/** @throws CacheError `config` when a file can't be read or holds something wrong */
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

  /** @param lane whose turn a check takes */
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
      // With the generation in it, nothing that was found out, or is being found out, with an old file counts any more.
      const proof = `${file?.generation ?? 0} ${credentials}`;
      // Asked the same way, the same again costs a network one place and tells it nothing.
      return shareAttempt(`${network} ${proof}`, () =>
        // What is remembered passes here too: else a guess that is right would be the only one to get an answer.
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
