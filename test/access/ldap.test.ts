import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { CacheError } from '../../src/cache/errors.ts';
import { createLdapPeople, type LdapOptions } from '../../src/access/ldap.ts';
import { noteSkipped } from './command.ts';
import { faultOf } from './fault.ts';
import { SLAPD, startSlapd, type Slapd } from './slapd.ts';

const GROUPS = 'ou=groups,dc=example,dc=org';
/** Names that mean something in a DN or in a filter, and how they are written in one (RFC 4514, by hand). */
const ODD_NAMES: readonly (readonly [string, string])[] = [
  ['a,b', String.raw`a\,b`],
  ['a+b', String.raw`a\+b`],
  ['o"brien', String.raw`o\"brien`],
  ['back\\slash', String.raw`back\\slash`],
  ['a;b', String.raw`a\;b`],
  ['<tag>', String.raw`\<tag\>`],
  ['x=y', String.raw`x\=y`],
  ['#hash', String.raw`\#hash`],
  ['*', '*'],
  ['(par)', '(par)'],
  ['x)(memberUid=alice', String.raw`x)(memberUid\=alice`],
  ['zoë', 'zoë'],
  ['名前', '名前'],
  ['a b', 'a b'],
  ['{user}', '{user}'],
  ['$&', '$&'],
];

function person(dn: string, uid: string, password = `pw of ${uid}`): string {
  const base64 = (text: string) => Buffer.from(text).toString('base64');
  return `dn:: ${base64(dn)}
objectClass: inetOrgPerson
uid:: ${base64(uid)}
cn: x
sn: x
userPassword:: ${base64(password)}

`;
}

const inPeople = (rdnValue: string) => `uid=${rdnValue},ou=people,dc=example,dc=org`;

const LDIF = `dn: dc=example,dc=org
objectClass: domain
dc: example

dn: ou=people,dc=example,dc=org
objectClass: organizationalUnit
ou: people

dn: ou=guests,ou=people,dc=example,dc=org
objectClass: organizationalUnit
ou: guests

dn: ${GROUPS}
objectClass: organizationalUnit
ou: groups

${person(inPeople('alice'), 'alice', 'pässwörd 🔑')}${person(inPeople('bob'), 'bob')}${person(inPeople('carol'), 'carol')}${person(inPeople('dave'), 'dave')}${ODD_NAMES.map(([name, escaped]) => person(inPeople(escaped), name)).join('')}${person('uid=mallory,ou=guests,ou=people,dc=example,dc=org', 'mallory')}${person('uid=multi+cn=x,ou=people,dc=example,dc=org', 'multi')}dn: uid=keyless,ou=people,dc=example,dc=org
objectClass: inetOrgPerson
uid: keyless
cn: x
sn: x

dn: cn=readers,${GROUPS}
objectClass: groupOfNames
cn: readers
member: ${inPeople('alice')}
member: ${inPeople('carol')}

dn: cn=uploaders,${GROUPS}
objectClass: groupOfUniqueNames
cn: uploaders
uniqueMember: ${inPeople('bob')}
uniqueMember: ${inPeople(String.raw`a\,b`)}
uniqueMember: ${inPeople(String.raw`o\"brien`)}

dn: cn=admins,${GROUPS}
objectClass: posixGroup
cn: admins
gidNumber: 1
memberUid: carol
memberUid: a+b

dn: cn=hidden,${GROUPS}
objectClass: groupOfNames
cn: hidden
member: ${inPeople('alice')}
`;

const isInstalled = existsSync(SLAPD);
if (!isInstalled) noteSkipped('LDAP against a real server', 'slapd');

describe.skipIf(!isInstalled)('people of a real slapd', () => {
  let slapd: Slapd;
  let problems: CacheError[] = [];

  beforeAll(async () => {
    slapd = await startSlapd(LDIF);
  });
  afterAll(() => slapd.stop());
  afterEach(async () => {
    problems = [];
    // Each socket of the test is closed by the end of it, or soon after.
    await expect.poll(openSockets, { timeout: 20_000, interval: 5 }).toBe(0);
  });

  const openPeople = (options: Partial<LdapOptions> = {}) =>
    createLdapPeople(
      {
        url: `ldap://127.0.0.1:${slapd.port}`,
        startTls: false,
        caFile: undefined,
        bindDn: inPeople('{user}'),
        readGroup: undefined,
        uploadGroup: undefined,
        adminGroup: undefined,
        ...options,
      },
      { report: (problem) => problems.push(problem) },
    );

  it('are known by their passwords', async () => {
    const people = await openPeople();
    expect(await people.verify('alice', 'pässwörd 🔑')).toEqual({ role: 'read' });
    expect(await people.verify('bob', 'pw of bob')).toEqual({ role: 'read' });
    for (const wrong of ['pässwörd', 'PÄSSWÖRD 🔑', 'pw of bob', 'x'.repeat(1024)]) {
      expect(await people.verify('alice', wrong)).toBeUndefined();
    }
    expect(await people.verify('nobody', 'pw of bob')).toBeUndefined();
    expect(await people.verify('keyless', 'x')).toBeUndefined();
  });

  it('are not asked with an empty password: slapd takes such a bind for a success or a fault, never for a refusal', async () => {
    const people = await openPeople({ url: 'ldap://127.0.0.1:1' });
    expect(await people.verify('alice', '')).toBeUndefined();
  });

  it.each(['ali\0ce', 'alice\n', '\u0085', '', 'x'.repeat(257), '\ud800'])(
    'are not asked with a name that is none: %j',
    async (name) => {
      const people = await openPeople({ url: 'ldap://127.0.0.1:1' });
      expect(await people.verify(name, 'pw')).toBeUndefined();
    },
  );

  it.each(ODD_NAMES)('may be called %j', async (name) => {
    const people = await openPeople();
    expect(await people.verify(name, `pw of ${name}`)).toEqual({ role: 'read' });
    expect(await people.verify(name, 'pw of bob')).toBeUndefined();
  });

  it.each([
    ['mallory,ou=guests', 'pw of mallory'],
    [String.raw`mallory\,ou=guests`, 'pw of mallory'],
    ['multi+cn=x', 'pw of multi'],
    ['bob,ou=people,dc=example,dc=org', 'pw of bob'],
    ['bob"', 'pw of bob'],
    ['bo*', 'pw of bob'],
    ['bob)(uid=*', 'pw of bob'],
    ['\\62ob', 'pw of bob'],
  ])('are not reached by a name that would change the DN: %j', async (name, password) => {
    const people = await openPeople();
    expect(await people.verify(name, password)).toBeUndefined();
  });

  it('are not reached by a name that ldapts takes for a SASL mechanism', async () => {
    const people = await openPeople({ url: 'ldap://127.0.0.1:1', bindDn: '{user}' });
    expect(await people.verify('EXTERNAL', 'x')).toBeUndefined();
  });

  it('have the strongest role of their groups', async () => {
    const people = await openPeople({
      readGroup: `cn=readers,${GROUPS}`,
      uploadGroup: `cn=uploaders,${GROUPS}`,
      adminGroup: `cn=admins,${GROUPS}`,
    });
    const roleOf = async (name: string, password = `pw of ${name}`) => await people.verify(name, password);
    expect(await roleOf('alice', 'pässwörd 🔑')).toEqual({ role: 'read' });
    expect(await roleOf('bob')).toEqual({ role: 'upload' });
    expect(await roleOf('carol')).toEqual({ role: 'admin' });
    expect(await roleOf('dave')).toEqual({ role: undefined });
    expect(await roleOf('a,b')).toEqual({ role: 'upload' });
    expect(await roleOf('o"brien')).toEqual({ role: 'upload' });
    expect(await roleOf('a+b')).toEqual({ role: 'admin' });
    expect(problems).toEqual([]);
  });

  it.each(['*', 'x)(memberUid=alice', '(par)', 'back\\slash', '名前'])(
    'get into no group by a name that means something in a filter: %j',
    async (name) => {
      const people = await openPeople({
        readGroup: `cn=readers,${GROUPS}`,
        adminGroup: `cn=admins,${GROUPS}`,
      });
      expect(await people.verify(name, `pw of ${name}`)).toEqual({ role: undefined });
    },
  );

  it.each(['hidden', 'missing'])(
    'are members of no group that they cannot read (%s), which is reported once',
    async (group) => {
      const people = await openPeople({ adminGroup: `cn=${group},${GROUPS}` });
      for (let times = 0; times < 2; times++) {
        expect(await people.verify('alice', 'pässwörd 🔑')).toEqual({ role: 'read' });
      }
      expect(problems.map(({ message }) => message)).toEqual([
        expect.stringContaining(`"cn=${group},${GROUPS}" does not exist`),
      ]);
    },
  );

  describe.each([
    ['StartTLS', true, (host: string) => `ldap://${host}:${slapd.port}`],
    ['ldaps', false, (host: string) => `ldaps://${host}:${slapd.tlsPort}`],
  ])('over %s', (_kind, startTls, url) => {
    it('are known when the CA is the right one', async () => {
      const people = await openPeople({
        ...{ url: url('localhost'), startTls, caFile: slapd.certificates.ca },
        uploadGroup: `cn=uploaders,${GROUPS}`,
      });
      expect(await people.verify('bob', 'pw of bob')).toEqual({ role: 'upload' });
      expect(await people.verify('bob', 'wrong')).toBeUndefined();
    });

    it('are known when the machine knows the CA', async () => {
      const knownAuthorities = [await readFile(slapd.certificates.ca, 'utf8')];
      const people = await openPeople({ url: url('localhost'), startTls, knownAuthorities });
      expect(await people.verify('bob', 'pw of bob')).toBeDefined();
    });

    it.each([
      ['another CA', 'localhost', () => slapd.certificates.otherCa],
      ["the system's CAs", 'localhost', () => undefined],
      ['another name in the certificate', '127.0.0.1', () => slapd.certificates.ca],
    ])('are unavailable with %s', async (_what, host, caFile) => {
      const people = await openPeople({ url: url(host), startTls, caFile: caFile() });
      const { code, message } = await faultOf(() => people.verify('bob', 'pw of bob'));
      expect(code).toBe('unavailable');
      expect(message).toMatch(/certificate|altnames/);
    });
  });

  it('are unavailable, not wrong, when the server does not speak TLS where it should', async () => {
    const people = await openPeople({ url: `ldaps://127.0.0.1:${slapd.port}` });
    expect((await faultOf(() => people.verify('bob', 'pw of bob'))).code).toBe('unavailable');
  });

  it('can be asked by many at a time', async () => {
    const people = await openPeople();
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, index) => people.verify('bob', index % 2 === 0 ? 'pw of bob' : 'no')),
    );
    expect(answers.filter((answer) => answer !== undefined)).toHaveLength(20);
  });
});

function openSockets(): number {
  return process.getActiveResourcesInfo().filter((kind) => kind === 'TCPSocketWrap').length;
}
