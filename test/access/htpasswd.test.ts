import { describe, expect, it } from 'vitest';
import { parseHtpasswd } from '../../src/access/htpasswd.ts';
import { parsePasswordHash } from '../../src/access/password-hash.ts';
import { createPasswordThread } from '../../src/access/password-thread.ts';
import { isInstalled, noteSkipped, run } from './command.ts';
import { faultOf } from './fault.ts';

const FILE = '/etc/shacache/htpasswd';
const APR1 = '$apr1$eB6.gAwN$9y/GkscnK3tH8JFLzhGSJ1';
const PASSWORDS = [
  'x',
  'correct horse',
  'pässwörd €',
  '密码🔑',
  ' spaces ',
  'quote"back\\slash',
  '0123456789abcdef',
  'ü'.repeat(36),
  'long'.repeat(50),
];

function parse(text: string) {
  return parseHtpasswd(Buffer.from(text), FILE);
}

const matchesHash = createPasswordThread();

function matches(password: string, hashText: string): Promise<boolean> {
  return matchesHash(password, parsePasswordHash(hashText));
}

describe('a password hash', () => {
  it.each([
    [
      'bcrypt $2y$ of htpasswd -B',
      'pässwörd',
      '$2y$05$jxikLkGbiGP/yawlU3e1kuljemsbUEbVRPMqLroaAth5ZhqO95j2W',
    ],
    ['bcrypt $2a$ of Openwall', 'U*U', '$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW'],
    ['bcrypt $2b$ of Openwall', 'U*U*', '$2b$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK'],
    ["apr1 of Apache's documentation", 'myPassword', '$apr1$r31.....$HqJZimcKQFAMYayBlzkrA/'],
    ['apr1 of htpasswd -m', 'pässwörd', APR1],
    ['apr1 of openssl, with a short salt', 'pw', '$apr1$ab$RieuZkC7MNZo71UI4mVva0'],
    ['{SHA} of htpasswd -s', 'pässwörd', '{SHA}9Rfd8dMqES/xrVXGbRsSyzjn6Pc='],
  ])('%s takes its password and no other', async (_form, password, hashText) => {
    expect(await matches(password, hashText)).toBe(true);
    for (const wrong of [`${password} `, password.slice(1), `x${password}`, '']) {
      expect(await matches(wrong, hashText)).toBe(false);
    }
  });

  it('bcrypt looks at 72 bytes, as htpasswd -B does', async () => {
    const text = '0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789';
    const known = '$2a$05$abcdefghijklmnopqrstuu5s2v8.iXieOjg/.AySBTTZIIVFJeBui';
    expect(text).toHaveLength(72);
    expect(await matches(`${text}chars after 72 are ignored`, known)).toBe(true);
    expect(await matches(text, known)).toBe(true);
    expect(await matches(text.slice(0, 71), known)).toBe(false);
  });

  it.each([
    ['$5$2JeZHbFrgGC2deeE$UpdQfgKTSGweCmM2cxFZcZkboAHSxDCkA8/S/FCGZID', 'SHA-256 crypt ($5$)'],
    ['$6$SWiE4SKorpTZ3I8N$Isvtel3iMwwBy', 'SHA-512 crypt ($6$)'],
    ['$1$abcdefgh$Zk0zzzzzzzzzzzzzzzzzz.', 'MD5 crypt ($1$)'],
    ['$argon2id$v=19$m=65536,t=3,p=4$c2FsdA$aGFzaA', 'a hash of another kind'],
    ['$2x$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW', 'a hash of another kind'],
    ['HWWsmZZZ94VYc', 'plain text or crypt(3)'],
    ['hunter2', 'plain text or crypt(3)'],
    ['{SSHA}9Rfd8dMqES/xrVXGbRsSyzjn6Pc=', 'plain text or crypt(3)'],
    ['', 'empty'],
    ['$2y$05$jxikLkGbiGP/yawlU3e1kuljemsbUEbVRPMqLroaAth5ZhqO95j2', 'truncated'],
    ['$apr1$eB6.gAwN$9y/GkscnK3tH8JFLzhGSJ', 'truncated'],
    ['{SHA}9Rfd8dMqES/xrVXGbRsSyzjn6P', 'truncated'],
    ['$2y$18$jxikLkGbiGP/yawlU3e1kuljemsbUEbVRPMqLroaAth5ZhqO95j2W', 'cost of 18'],
    ['$2y$03$jxikLkGbiGP/yawlU3e1kuljemsbUEbVRPMqLroaAth5ZhqO95j2W', 'cost of 03'],
  ])('%j is refused, with its line and without the hash in the message', async (hashText, reason) => {
    const { code, message } = await faultOf(() => parse(`ok:${APR1}\n\nalice:${hashText}\n`));
    expect(code).toBe('config');
    expect(message).toMatch(/^\/etc\/shacache\/htpasswd:3: the password of "alice" .*; set it again/);
    expect(message).toContain(reason);
    if (hashText !== '') expect(message).not.toContain(hashText);
  });
});

describe('an htpasswd file', () => {
  it('may hold comments, empty lines, CRLF, a BOM and more columns', () => {
    const people = parse(`\ufeff# who may\r\n\r\n  alice:${APR1}  \r\n#bob:x\nzoë dé:${APR1}:Zoë, builds\n`);
    expect([...people.keys()]).toEqual(['alice', 'zoë dé']);
  });

  it('may be empty', () => {
    expect(parse('').size).toBe(0);
  });

  it.each([
    ['a line without a colon', `alice:${APR1}\nbob\n`, ':2: not NAME:HASH'],
    ['a line without a name', `:${APR1}\n`, ':1: not NAME:HASH'],
    [
      'a name that is there twice',
      `alice:${APR1}\nbob:${APR1}\nalice:${APR1}\n`,
      ':3: "alice" is listed twice',
    ],
  ])('is refused for %s', async (_what, text, message) => {
    expect((await faultOf(() => parse(text))).message).toContain(`${FILE}${message}`);
  });

  it('is refused when it is not UTF-8', async () => {
    const { message } = await faultOf(() => parseHtpasswd(Buffer.from(`zo\xeb:${APR1}`, 'latin1'), FILE));
    expect(message).toContain('not UTF-8');
  });
});

const hasHtpasswd = isInstalled('htpasswd');
if (!hasHtpasswd) noteSkipped('what htpasswd writes', 'htpasswd');

describe.skipIf(!hasHtpasswd)('what htpasswd writes', () => {
  it.each([
    ['bcrypt', ['-B', '-C', '4']],
    ['apr1', ['-m']],
    ['sha1', ['-s']],
  ])('as %s is read, whatever the password and the name', async (scheme, options) => {
    for (const [index, password] of PASSWORDS.entries()) {
      const name =
        ['alice', 'zoë', 'a b', 'o"brien', 'back\\slash', 'a@b.c', "it's", '名前', '$HOME'][index] ?? 'x';
      const known = parse(run('htpasswd', ['-nb', ...options, name, password])).get(name);
      if (known === undefined) throw new Error(`${name} was not found`);
      expect(known.scheme).toBe(scheme);
      expect(await matchesHash(password, known)).toBe(true);
      expect(await matchesHash(`!${password}`, known)).toBe(false);
    }
  });

  it('cuts long passwords where we do', async () => {
    const password = 'ä'.repeat(50);
    const [known] = parse(run('htpasswd', ['-nbB', '-C', '4', 'a', password])).values();
    if (known === undefined) throw new Error('nobody was found');
    expect(await matchesHash(`${'ä'.repeat(36)}another end`, known)).toBe(true);
    expect(await matchesHash('ä'.repeat(35), known)).toBe(false);
  });

  it.each(['-2', '-5', '-d', '-p'])('with %s is refused', async (option) => {
    const written = run('htpasswd', ['-nb', option, 'alice', 'secret99']);
    expect((await faultOf(() => parse(written))).code).toBe('config');
  });
});

const hasOpenssl = isInstalled('openssl');
if (!hasOpenssl) noteSkipped('apr1 as openssl computes it', 'openssl');

describe.skipIf(!hasOpenssl)('apr1 as openssl computes it', () => {
  it('is the same for passwords of 1 to 40 bytes and salts of 1 to 8', async () => {
    const passwords = Array.from({ length: 40 }, (_, index) => 'aB3$é'.repeat(9).slice(0, index + 1));
    for (const [index, password] of passwords.entries()) {
      const salt = 'Sa1t./zZ'.slice(0, (index % 8) + 1);
      expect(await matches(password, run('openssl', ['passwd', '-apr1', '-salt', salt, password]))).toBe(
        true,
      );
    }
  });
});
