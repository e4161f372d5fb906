import bcrypt from 'bcryptjs';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createAuthenticator, type AuthenticatorOptions } from '../../src/access/authenticator.ts';
import { isAllowed } from '../../src/access/roles.ts';
import { defaultConfig } from '../../src/config/config.ts';
import { faultOf } from './fault.ts';
import { createPasswordThread } from '../../src/access/password-thread.ts';
import { createManualClock } from './manual-clock.ts';

const SOON = { timeout: 20_000, interval: 5 };
const A = '192.0.2.1';
const B = '192.0.2.2';
const matches = createPasswordThread();
const ALICE = bcrypt.hashSync('one', 4);
const BUILDER = bcrypt.hashSync('two', 4);
const FILE = `alice:${ALICE}\nbuilder:${BUILDER}\nroot:${ALICE}\n`;

let folder: string;
let htpasswdFile: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shacache-access-'));
  htpasswdFile = join(folder, 'htpasswd');
  await writeFile(htpasswdFile, FILE);
});
afterEach(() => rm(folder, { recursive: true }));

async function openAuthenticator(options: Partial<AuthenticatorOptions> = {}) {
  const clock = createManualClock();
  const compared: string[] = [];
  let running = 0;
  let most = 0;
  const authenticator = await createAuthenticator(
    {
      anonymous: 'read',
      htpasswdFile,
      ldap: undefined,
      uploadUsers: ['builder', 'alice in ldap'],
      adminUsers: ['root'],
      ...options,
    },
    {
      clock,
      report: (problem) => {
        throw problem;
      },
      matches: async (password, known) => {
        compared.push(password);
        most = Math.max(most, ++running);
        const result = await matches(password, known);
        running--;
        return result;
      },
      ldapLimit: 20_000,
    },
  );
  return {
    authenticator,
    clock,
    compared,
    get most() {
      return most;
    },
  };
}

/** An LDAP server that answers each bind with the same result. */
async function openLdapServer(result: number) {
  const sockets = new Set<Socket>();
  let binds = 0;
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('data', (message: Buffer) => {
      // 0x60: a bind request (RFC 4511, 4.2), numbered 2 by ldapts.
      if (message[5] !== 0x60) return;
      binds++;
      socket.write(Buffer.of(0x30, 0x0c, 2, 1, 2, 0x61, 7, 0x0a, 1, result, 4, 0, 4, 0));
    });
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    options: {
      url: `ldap://127.0.0.1:${(server.address() as AddressInfo).port}`,
      startTls: false,
      caFile: undefined,
      bindDn: 'uid={user},dc=example,dc=org',
      readGroup: undefined,
      uploadGroup: undefined,
      adminGroup: undefined,
    },
    get binds() {
      return binds;
    },
    async close() {
      server.close();
      for (const socket of sockets) socket.destroy();
      await once(server, 'close');
    },
  };
}

describe('the authenticator', () => {
  it('takes the [access] section as config has it', async () => {
    const { access } = defaultConfig('/');
    const { anonymous, acceptsPasswords } = await createAuthenticator(access, { report: () => undefined });
    expect({ anonymous, acceptsPasswords }).toEqual({ anonymous: 'read', acceptsPasswords: false });
  });

  it.each([
    ['none', undefined],
    ['read', 'read'],
    ['upload', 'upload'],
  ] as const)('gives the nameless "%s"', async (anonymous, role) => {
    expect((await openAuthenticator({ anonymous })).authenticator.anonymous).toBe(role);
  });

  it('gives roles by name', async () => {
    const { authenticator } = await openAuthenticator();
    expect(await authenticator.withPassword('alice', 'one', A)).toEqual({ name: 'alice', role: 'read' });
    expect(await authenticator.withPassword('builder', 'two', A)).toEqual({
      name: 'builder',
      role: 'upload',
    });
    expect(await authenticator.withPassword('root', 'one', A)).toEqual({ name: 'root', role: 'admin' });
  });

  it('knows nobody by a wrong, empty or impossible password or name', async () => {
    const { authenticator, compared } = await openAuthenticator();
    expect(await authenticator.withPassword('alice', 'two', A)).toBeUndefined();
    expect(await authenticator.withPassword('Alice', 'one', A)).toBeUndefined();
    expect(compared).toHaveLength(2);
    for (const [name, password] of [
      ['alice', ''],
      ['', 'one'],
      ['alice', 'one\0'],
      ['alice\0', 'one'],
      ['alice', 'x'.repeat(1025)],
      ['x'.repeat(257), 'one'],
    ] as const) {
      expect(await authenticator.withPassword(name, password, A)).toBeUndefined();
    }
    expect(compared).toHaveLength(2);
  });

  it('knows nobody by password where nothing can check one', async () => {
    const { authenticator } = await openAuthenticator({ htpasswdFile: undefined });
    expect(authenticator.acceptsPasswords).toBe(false);
    expect(await authenticator.withPassword('alice', 'one', A)).toBeUndefined();
  });

  it('computes as much for an unknown name as for a known one', async () => {
    const { authenticator, compared } = await openAuthenticator();
    await authenticator.withPassword('nobody', 'secret', A);
    await authenticator.withPassword('alice', 'secret', A);
    expect(compared).toEqual(['secret', 'secret']);
  });

  it('knows people by certificate, with the roles of the lists', async () => {
    const { authenticator } = await openAuthenticator();
    expect(authenticator.withCertificate('COMP-1')).toEqual({ name: 'COMP-1', role: 'read' });
    expect(isAllowed(authenticator.withCertificate('builder')?.role, 'upload')).toBe(true);
    expect(authenticator.withCertificate('root')?.role).toBe('admin');
    for (const none of ['', 'ro\0ot', 'root\n']) {
      expect(authenticator.withCertificate(none)).toBeUndefined();
    }
  });
});

describe('a storm of requests', () => {
  it('computes one bcrypt for 200 identical ones, of one address or of many', async () => {
    const { authenticator, compared } = await openAuthenticator();
    const requests = Array.from({ length: 200 }, (_, index) =>
      authenticator.withPassword('alice', 'one', index < 100 ? A : `198.51.100.${index}`),
    );
    const answers = await Promise.all(requests);
    expect(answers.filter((answer) => answer?.name === 'alice')).toHaveLength(200);
    expect(compared).toEqual(['one']);
    await authenticator.withPassword('alice', 'one', B);
    expect(compared).toEqual(['one']);
  });

  it('computes one bcrypt at a time for different ones', async () => {
    const state = await openAuthenticator();
    const guesses = Array.from({ length: 30 }, (_, index) =>
      state.authenticator.withPassword('alice', `guess ${index}`, `198.51.100.${index}`),
    );
    expect(await Promise.all(guesses)).toEqual(guesses.map(() => undefined));
    expect(state.compared).toHaveLength(30);
    expect(state.most).toBe(1);
  });

  it('of wrong passwords from one address keeps nobody else waiting for more than one of them', async () => {
    const { authenticator, compared, clock } = await openAuthenticator();
    const flood = Array.from({ length: 40 }, (_, index) =>
      authenticator.withPassword('alice', `guess ${index}`, A).catch((error: unknown) => error),
    );
    const [answer] = await Promise.all([authenticator.withPassword('builder', 'two', B), settleFirst()]);
    expect(answer?.name).toBe('builder');
    expect(compared.indexOf('two')).toBeLessThanOrEqual(2);
    const answers = Promise.all(flood);
    await expect.poll(() => clock.delays.length, SOON).toBe(32 - 5);
    clock.advance(16_000);
    // 32 were checked, and 8 refused unchecked.
    expect((await answers).filter((each) => each !== undefined)).toHaveLength(8);
    expect(compared.filter((password) => password.startsWith('guess'))).toHaveLength(32);
  });
});

const settleFirst = () => new Promise(setImmediate);

describe('a right password', () => {
  it('is remembered for a minute', async () => {
    const { authenticator, clock, compared } = await openAuthenticator();
    await authenticator.withPassword('alice', 'one', A);
    clock.advance(59_999);
    await authenticator.withPassword('alice', 'one', A);
    expect(compared).toHaveLength(1);
    clock.advance(2);
    await authenticator.withPassword('alice', 'one', A);
    expect(compared).toHaveLength(2);
  });

  it('is remembered with its name: neither fits anything else', async () => {
    const { authenticator } = await openAuthenticator();
    await authenticator.withPassword('alice', 'one', A);
    await authenticator.withPassword('builder', 'two', A);
    expect(await authenticator.withPassword('builder', 'one', A)).toBeUndefined();
    expect(await authenticator.withPassword('alice', 'two', A)).toBeUndefined();
  });

  it('is forgotten when the htpasswd file changes', async () => {
    const { authenticator, clock } = await openAuthenticator();
    expect(await authenticator.withPassword('alice', 'one', A)).toBeDefined();
    await writeFile(htpasswdFile, `builder:${BUILDER}\n`);
    clock.advance(1000);
    expect(await authenticator.withPassword('alice', 'one', A)).toBeUndefined();
    expect(await authenticator.withPassword('builder', 'two', A)).toBeDefined();
  });

  it('that was being checked when the file changed is not remembered for the new one', async () => {
    const clock = createManualClock();
    const ends: (() => void)[] = [];
    const authenticator = await createAuthenticator(
      { anonymous: 'none', htpasswdFile, ldap: undefined, uploadUsers: [], adminUsers: [] },
      {
        clock,
        report: () => undefined,
        matches: () =>
          new Promise((resolve) => {
            ends.push(() => {
              resolve(true);
            });
          }),
      },
    );
    const early = authenticator.withPassword('alice', 'one', A);
    await expect.poll(() => ends.length, SOON).toBe(1);
    await writeFile(htpasswdFile, `builder:${BUILDER}\n`);
    clock.advance(1000);
    const late = authenticator.withPassword('alice', 'one', A);
    const other = authenticator.withPassword('builder', 'two', A);
    ends[0]?.();
    expect(await early).toBeDefined();
    await expect.poll(() => ends.length, SOON).toBe(2);
    ends[1]?.();
    expect(await late).toBeUndefined();
    await expect.poll(() => ends.length, SOON).toBe(3);
    ends[2]?.();
    expect(await other).toBeDefined();
    expect(await authenticator.withPassword('builder', 'two', A)).toBeDefined();
    expect(ends).toHaveLength(3);
  });

  it('is no way around the slowness: while a network is refused, it is refused too', async () => {
    const { authenticator, clock } = await openAuthenticator();
    await authenticator.withPassword('alice', 'one', A);
    for (let round = 0; round < 12; round++) {
      const wrong = authenticator.withPassword('root', `guess ${round}`, A);
      if (round >= 5) await expect.poll(() => clock.delays.length, SOON).toBe(1);
      clock.advance(16_000);
      await wrong;
    }
    await authenticator.withPassword('alice', 'one', A);
    const held = Array.from({ length: 8 }, (_, index) =>
      authenticator.withPassword('root', `another guess ${index}`, A),
    );
    await expect.poll(() => clock.delays.length, SOON).toBe(8);
    expect((await faultOf(() => authenticator.withPassword('alice', 'one', A))).code).toBe('too-many');
    expect((await authenticator.withPassword('alice', 'one', B))?.name).toBe('alice');
    clock.advance(16_000);
    await Promise.all(held);
    expect(await authenticator.withPassword('alice', 'one', A)).toBeDefined();
  });
});

describe('htpasswd and LDAP together', () => {
  it('ask LDAP for names that the file does not have, and remember its answer', async () => {
    const server = await openLdapServer(0);
    const { authenticator } = await openAuthenticator({ ldap: server.options });
    expect(await authenticator.withPassword('carol', 'x', A)).toEqual({ name: 'carol', role: 'read' });
    expect(await authenticator.withPassword('alice in ldap', 'x', A)).toEqual({
      name: 'alice in ldap',
      role: 'upload',
    });
    await authenticator.withPassword('carol', 'x', A);
    expect(server.binds).toBe(2);
    await server.close();
  });

  it('ask nobody else about a name in the file: LDAP cannot give it a second password', async () => {
    const server = await openLdapServer(0);
    const { authenticator } = await openAuthenticator({ ldap: server.options });
    expect(await authenticator.withPassword('root', 'password of another root', A)).toBeUndefined();
    expect(server.binds).toBe(0);
    await server.close();
  });

  it('let the people of the file in while LDAP is down, and tell the others that it is', async () => {
    const server = await openLdapServer(0);
    await server.close();
    const { authenticator, clock } = await openAuthenticator({ ldap: server.options });
    expect(await authenticator.withPassword('alice', 'one', A)).toBeDefined();
    expect(await authenticator.withPassword('alice', 'wrong', A)).toBeUndefined();
    for (let times = 0; times < 10; times++) {
      expect((await faultOf(() => authenticator.withPassword('carol', 'x', B))).code).toBe('unavailable');
    }
    // Which is nobody's mistake, so nobody is slowed for it.
    expect(clock.delays).toEqual([]);
  });

  it('know nobody whom LDAP refuses', async () => {
    const server = await openLdapServer(49);
    const { authenticator, compared } = await openAuthenticator({ ldap: server.options });
    expect(await authenticator.withPassword('carol', 'x', A)).toBeUndefined();
    expect(await authenticator.withPassword('carol', 'x', A)).toBeUndefined();
    expect(server.binds).toBe(2);
    expect(compared).toHaveLength(2);
    await server.close();
  });
});
