import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { CacheError } from '../../src/cache/errors.ts';
import { type Config, defaultConfig, parseConfig } from '../../src/config/config.ts';
import { createSections } from '../../src/config/schema.ts';

const BLOCK = (body: string) => `-----BEGIN CERTIFICATE-----\n${body}\n-----END CERTIFICATE-----\n`;
const TLS = 'tls-certificate = c.pem\ntls-key = k.pem\n';

function parse(text: string): Config {
  return parseConfig(text, { file: '/etc/here/config.ini', cwd: '/' });
}

function faultOf(text: string): CacheError {
  try {
    parse(text);
  } catch (error) {
    if (error instanceof CacheError) return error;
    throw error;
  }
  throw new Error(`accepted: ${text}`);
}

describe('the defaults', () => {
  it('are those of design.md', () => {
    const { software, pin, ...rest } = defaultConfig('/srv/here');
    expect(rest).toEqual({
      file: undefined,
      folder: '/srv/here',
      isNamed: false,
      isOfFolder: false,
      server: {
        listen: [{ scheme: 'http', host: '::', port: 5050 }],
        publicUrl: undefined,
        cacheHosts: [],
        dirHosts: [],
        tls: { mode: 'off' },
        maxConnections: 1000,
        publicLog: false,
      },
      store: { path: '/srv/here/cache-store', scrubInterval: undefined },
      signature: {
        privateKeyFile: '/srv/here/sign.key',
        certificateFile: '/srv/here/sign.crt',
        trustedCertificates: [],
      },
      upload: { maxBlobSize: 20 * 1024 ** 3, minFreeSpace: 256 * 1024 ** 2, allowUnsigned: false },
      access: {
        anonymous: 'read',
        metrics: 'read',
        htpasswdFile: undefined,
        clientCaFile: undefined,
        ldap: undefined,
        uploadUsers: [],
        adminUsers: [],
      },
      upstream: undefined,
    });
    expect(software.size).toBe(0);
    expect(pin.size).toBe(0);
  });

  it('are the same for an empty file and for empty sections', () => {
    const empty = { ...defaultConfig('/etc/here'), file: '/etc/here/config.ini' };
    expect(parse('')).toEqual(empty);
    expect(parse('[server]\n[store]\n[signature]\n[software]\n[upload]\n[access]\n[upstream]\n')).toEqual(
      empty,
    );
  });
});

describe('a configuration', () => {
  it('is frozen to its leaves', () => {
    const config = parse(
      `[server]\n${TLS}[software]\na = https://h/a\n[access]\nhtpasswd-file = h\nupload-users = a b`,
    );
    const { server, store, signature, software, upload, access } = config;
    const parts = [
      config,
      server,
      server.listen,
      server.listen[0],
      server.tls,
      store,
      signature,
      software,
      upload,
    ];
    for (const part of [...parts, signature.trustedCertificates, access, access.uploadUsers]) {
      expect(Object.isFrozen(part)).toBe(true);
    }
  });

  it('resolves paths against the folder of its file', () => {
    const config = parseConfig(
      '[store]\npath = store\n[signature]\nprivate-key-file = ../k\ncertificate-file = /c',
      {
        file: 'conf/config.ini',
        cwd: '/srv',
      },
    );
    expect(config.file).toBe('/srv/conf/config.ini');
    expect(config.store.path).toBe('/srv/conf/store');
    expect(config.signature).toMatchObject({ privateKeyFile: '/srv/k', certificateFile: '/c' });
  });

  it('without a file resolves paths against the working directory', () => {
    expect(parseConfig('[store]\npath = ./store', { cwd: '/srv' }).store.path).toBe('/srv/store');
  });

  it('takes several addresses, and HTTPS for those without a scheme once there is a certificate', () => {
    const listen = 'listen = 127.0.0.1:80, [::1]:443\n  http://[::]:5050\n  https://:5443 8080\n';
    expect(parse(`[server]\n${listen}${TLS}`).server.listen).toEqual([
      { scheme: 'https', host: '127.0.0.1', port: 80 },
      { scheme: 'https', host: '::1', port: 443 },
      { scheme: 'http', host: '::', port: 5050 },
      { scheme: 'https', host: '::', port: 5443 },
      { scheme: 'https', host: '::', port: 8080 },
    ]);
  });

  it('switches TLS on with a certificate, makes one with auto, and obeys off', () => {
    const on = { mode: 'on', certificateFile: '/etc/here/c.pem', keyFile: '/etc/here/k.pem' };
    expect(parse(`[server]\n${TLS}`).server.tls).toEqual(on);
    expect(parse(`[server]\ntls = ON\n${TLS}`).server.tls).toEqual(on);
    expect(parse(`[server]\ntls = off\n${TLS}`).server.tls).toEqual({ mode: 'off' });
    expect(parse('[server]\ntls = auto').server.tls).toEqual({ mode: 'auto', names: [] });
    expect(parse('[server]\ntls = auto\ntls-names = a.b, [::1]\n 10.0.0.1 *.c.d').server.tls).toEqual({
      mode: 'auto',
      names: ['a.b', '::1', '10.0.0.1', '*.c.d'],
    });
  });

  it('keeps the public URL without its last slash', () => {
    expect(parse('[server]\npublic-url = https://h/cache/').server.publicUrl).toBe('https://h/cache');
  });

  it('reads the host names of the services', () => {
    const { server } = parse(
      '[server]\ncache-host = ShaCache.example. [2001:DB8::1]\ndir-host = shadir.example',
    );
    expect(server.cacheHosts).toEqual(['shacache.example', '2001:db8::1']);
    expect(server.dirHosts).toEqual(['shadir.example']);
  });

  it('splits the trusted certificates', () => {
    const text = `[signature]\nsignature-certificate-list =\n  ${`${BLOCK('QUJD')}\n# next\n${BLOCK('REVG\nR0g=')}`.replaceAll('\n', '\n  ')}\n`;
    expect(parse(text).signature.trustedCertificates).toEqual([BLOCK('QUJD'), BLOCK('REVG\nR0g=')]);
  });

  it('finds software URLs by name in any case, letter by letter as written', () => {
    const { software } = parse('[software]\nRapid-CDN-1.0 = https://h/A?b=C:d\n__proto__: http://h/%7e/../x');
    expect(software.get('rapid-cdn-1.0')).toBe('https://h/A?b=C:d');
    expect(software.get('RAPID-cdn-1.0')).toBe('https://h/A?b=C:d');
    expect(software.get('__proto__')).toBe('http://h/%7e/../x');
    expect(software.get('constructor')).toBeUndefined();
    expect([...software]).toEqual([
      ['Rapid-CDN-1.0', 'https://h/A?b=C:d'],
      ['__proto__', 'http://h/%7e/../x'],
    ]);
    expect(software.size).toBe(2);
  });

  it('reads which releases are pinned', () => {
    const { pin, software } = parse('[pin]\nCDN = https://h/A\nkvm = https://h/B');
    expect([...pin]).toEqual([
      ['CDN', 'https://h/A'],
      ['kvm', 'https://h/B'],
    ]);
    expect(software.size).toBe(0);
  });

  it('reads the bucket of the store, and how to reach it', () => {
    const { path, bucket } = parse('[store]\nurl = s3://b1.x/some/Prefix/').store;
    expect([path, bucket]).toEqual([
      '/etc/here/cache-store',
      {
        url: 's3://b1.x/some/Prefix',
        access: { endpoint: undefined, region: undefined, pathStyle: undefined, key: undefined },
        localCache: undefined,
      },
    ]);
    expect(parse('[store]\nurl = s3://abc').store.bucket?.url).toBe('s3://abc');
    const text =
      'url = s3://abc\nendpoint = http://h:1/\nregion = eu\npath-style = no\naccess-key-id = i\nsecret-access-key = s';
    expect(parse(`[store]\n${text}`).store.bucket?.access).toEqual({
      endpoint: 'http://h:1',
      region: 'eu',
      pathStyle: false,
      key: { id: 'i', secret: 's' },
    });
    const cached = (keys: string) => parse(`[store]\nurl = s3://abc\n${keys}`).store.bucket?.localCache;
    expect(cached('local-cache = ../copies')).toEqual({ folder: '/etc/copies', size: 10 * 1024 ** 3 });
    expect(cached('local-cache = /a\nlocal-cache-size = 200 GB')).toEqual({ folder: '/a', size: 200e9 });
  });

  it('reads how often the store is checked', () => {
    expect(parse('[store]\nscrub-interval = 7d').store.scrubInterval).toBe(7 * 24 * 3600_000);
    expect(parse('[store]\nscrub-interval = 24 h').store.scrubInterval).toBe(24 * 3600_000);
    expect(parse('[store]\nscrub-interval = Off').store.scrubInterval).toBeUndefined();
  });

  it('reads the limits of uploads', () => {
    const text = '[upload]\nmax-blob-size = 1.5 GiB\nmin-free-space = 0\nallow-unsigned = Yes';
    expect(parse(text).upload).toEqual({
      maxBlobSize: 1.5 * 1024 ** 3,
      minFreeSpace: 0,
      allowUnsigned: true,
    });
  });

  it('reads who may what', () => {
    const text = [
      `[server]\n${TLS}[access]\nanonymous = none\nhtpasswd-file = users\nclient-ca-file = ca.crt`,
      'ldap-url = ldap://[2001:db8::1]:1389/\nldap-start-tls = on\nldap-ca-file = l.crt',
      'ldap-bind-dn = uid={user},dc=example\nldap-read-group = cn=r,dc=example',
      'ldap-upload-group = cn=u,dc=example\nldap-admin-group = cn=a,dc=example',
      'upload-users = alice, "Node One"\n  bob\nadmin-users =',
    ].join('\n');
    expect(parse(text).access).toEqual({
      anonymous: 'none',
      metrics: 'read',
      htpasswdFile: '/etc/here/users',
      clientCaFile: '/etc/here/ca.crt',
      ldap: {
        url: 'ldap://[2001:db8::1]:1389',
        startTls: true,
        caFile: '/etc/here/l.crt',
        bindDn: 'uid={user},dc=example',
        readGroup: 'cn=r,dc=example',
        uploadGroup: 'cn=u,dc=example',
        adminGroup: 'cn=a,dc=example',
      },
      uploadUsers: ['alice', 'Node One', 'bob'],
      adminUsers: [],
    });
  });

  it('reads the upstream, with a password in its URLs', () => {
    const text = `[upstream]\ndownload-binary-cache-url = http://u:p@h/c/\ndownload-binary-dir-url = https://h/d\nca-file = ca.crt\nsignature-certificate-list = ${BLOCK('QUJD').replaceAll('\n', '\n ')}`;
    expect(parse(text).upstream).toEqual({
      cacheUrl: 'http://u:p@h/c',
      dirUrl: 'https://h/d',
      trustedCertificates: [BLOCK('QUJD')],
      caFile: '/etc/here/ca.crt',
    });
  });
});

/** What is wrong: the text, the line that is blamed, and the message behind it. */
const REFUSED: readonly (readonly [text: string, line: number, message: string])[] = [
  // Names.
  ['[sever]', 1, 'unknown section [sever]; did you mean [server]?'],
  ['[Server]', 1, 'unknown section [Server]; did you mean [server]?'],
  [
    '\n[xyz]',
    2,
    'unknown section [xyz]; known are [software], [pin], [server], [store], [signature], [upload], [access], [upstream]',
  ],
  [
    '[server]\n\ntls-certifcate = x',
    3,
    '[server] tls-certifcate: unknown key; did you mean tls-certificate?',
  ],
  ['[server]\nmax-blob-size = 1', 2, '[server] max-blob-size: unknown key; it belongs to [upload]'],
  [
    '[upload]\nfoo = 1',
    2,
    '[upload] foo: unknown key; known are max-blob-size, min-free-space, allow-unsigned',
  ],
  [
    '[store]\n__proto__ = 1',
    2,
    '[store] __proto__: unknown key; known are path, url, endpoint, region, path-style, access-key-id, secret-access-key, local-cache, local-cache-size, scrub-interval',
  ],
  ...['bucket', 's3://', 's3://a', 's3://b_c/x', 's3://abc//x', 's3://abc/x/../y', 'https://s3.x/abc'].map(
    (url) =>
      [
        `[store]\nurl = ${url}`,
        2,
        `[store] url: not the URL of a bucket: "${url}"; write s3://BUCKET or s3://BUCKET/PREFIX, with letters, digits and . _ = + - in the prefix`,
      ] as const,
  ),
  [
    '[store]\npath = a\nurl = s3://abc',
    2,
    '[store] path: there is also url, and they name two stores; remove one of them',
  ],
  [
    '[store]\nendpoint = http://a',
    2,
    '[store] endpoint: is only for a store in a bucket; also set url = s3://BUCKET/PREFIX',
  ],
  [
    '[store]\nlocal-cache = a',
    2,
    '[store] local-cache: is only for a store in a bucket; also set url = s3://BUCKET/PREFIX',
  ],
  [
    '[store]\nurl = s3://abc\nlocal-cache-size = 1G',
    3,
    '[store] local-cache-size: has no local-cache; set both, or neither',
  ],
  [
    '[store]\nurl = s3://abc\naccess-key-id = a',
    3,
    '[store] access-key-id: has no secret-access-key; set both, or neither',
  ],
  [
    '[store]\nurl = s3://abc\nsecret-access-key = a',
    3,
    '[store] secret-access-key: has no access-key-id; set both, or neither',
  ],
  [
    '[store]\nscrub-interval = 30s',
    2,
    '[store] scrub-interval: is shorter than a minute; write a duration such as 7d, or off for no checks',
  ],
  // [server]
  ['[server]\nlisten =', 2, '[server] listen: names no address; write HOST:PORT, such as [::]:5050'],
  ['[server]\nlisten = ::1', 2, '[server] listen: not an address: "::1"; add the port: [::1]:5050'],
  ['[server]\nlisten = [::1]', 2, '[server] listen: not an address: "[::1]"; add the port: [::1]:5050'],
  ['[server]\nlisten = http://h', 2, '[server] listen: not an address: "http://h"; add the port: h:5050'],
  [
    '[server]\nlisten = ::1:x:5050',
    2,
    '[server] listen: not an address: "::1:x:5050"; write an IPv6 address in brackets: [2001:db8::1]:5050',
  ],
  [
    '[server]\nlisten = [h]:1',
    2,
    '[server] listen: not an address: "[h]:1"; write HOST:PORT, such as [::]:5050 or 127.0.0.1:5050',
  ],
  [
    '[server]\nlisten = 300.1.1.1:1',
    2,
    '[server] listen: not an address: "300.1.1.1:1"; write HOST:PORT, such as [::]:5050 or 127.0.0.1:5050',
  ],
  ['[server]\nlisten = :70000', 2, '[server] listen: no port 70000: ":70000"; write 0 to 65535'],
  [
    '[server]\nlisten = :1 http://[::]:1',
    2,
    '[server] listen: [::]:1 is repeated; write each address once, with one scheme',
  ],
  [
    '[server]\nlisten = :1 # one',
    2,
    '[server] listen: contains a comment: "#"; a comment needs a line of its own',
  ],
  [
    '[server]\nlisten = https://:1',
    2,
    '[server] listen: https://:1 requires TLS, which is off; set tls = auto, or tls-certificate and tls-key, or write http://',
  ],
  [
    '[server]\ntls = auto\nlisten = http://:1',
    3,
    '[server] listen: no address uses HTTPS although TLS is on; add https://HOST:PORT, or set tls = off',
  ],
  [
    '[server]\npublic-url = h:1',
    2,
    '[server] public-url: not an HTTP URL: "h:1"; write http://HOST/… or https://HOST/…',
  ],
  [
    '[server]\npublic-url = http://h/?a',
    2,
    '[server] public-url: has a "?" or "#": "http://h/?a"; write the URL up to its path',
  ],
  [
    '[server]\npublic-url = http://h/x/bdir/',
    2,
    '[server] public-url: omit /bdir, which is added automatically; write http://h/x',
  ],
  [
    '[server]\npublic-url = http://me:pw@h/',
    2,
    '[server] public-url: contains a user name, but is public; write the URL without it',
  ],
  [
    '[server]\ncache-host = http://shacache.example',
    2,
    '[server] cache-host: not a host name or address: "http://shacache.example"; write names as cache.example.org, without port',
  ],
  [
    '[server]\ncache-host = a.example b.example\ndir-host = B.example',
    3,
    '[server] dir-host: b.example is also in cache-host; use two names',
  ],
  ['[server]\ntls = yes', 2, '[server] tls: not a known word: "yes"; write off, auto or on'],
  [
    '[server]\ntls = on',
    2,
    '[server] tls: on requires a certificate; set tls-certificate = FILE and tls-key = FILE, or tls = auto',
  ],
  [
    `[server]\ntls = auto\n${TLS}`,
    2,
    '[server] tls: auto conflicts with tls-certificate; set tls = on or remove tls-certificate and tls-key',
  ],
  [
    '[server]\ntls-key = k',
    2,
    '[server] tls-key: has no certificate; also set tls-certificate = FILE, or remove the line',
  ],
  [
    '[server]\ntls-certificate = c',
    2,
    '[server] tls-certificate: has no private key; also set tls-key = FILE',
  ],
  [
    `[server]\n${TLS}tls-names = a`,
    4,
    '[server] tls-names: only applies to a certificate made by the server; set tls = auto or remove the line',
  ],
  [
    '[server]\ntls = auto\ntls-names = a https://b',
    3,
    '[server] tls-names: not a host name or address: "https://b"; write names as cache.example.org, without port',
  ],
  // Paths.
  ['[store]\npath =', 2, '[store] path: has no value; write one or remove the line'],
  ['[store]\npath = a\n  b', 2, '[store] path: has more than one line: "a\\nb"; write the value on one line'],
  [
    '[store]\npath = a # b',
    2,
    '[store] path: contains a comment: "a # b"; a comment needs a line of its own',
  ],
  ['[store]\npath = "a b"', 2, '[store] path: is in quotes: "a b"; write the path without quotes'],
  ...['~/store', '$HOME/store'].map(
    (path) =>
      [
        `[store]\npath = ${path}`,
        2,
        `[store] path: "~" and "$" are not expanded: "${path}"; write the path in full, relative to the configuration file or from /`,
      ] as const,
  ),
  // [signature]
  [
    '[signature]\nsignature-certificate-list = sign.crt',
    2,
    '[signature] signature-certificate-list: contains a line that is no certificate: "sign.crt"; paste "-----BEGIN CERTIFICATE-----" to "-----END CERTIFICATE-----"',
  ],
  [
    '[signature]\nsignature-certificate-list = -----BEGIN RSA PRIVATE KEY-----',
    2,
    '[signature] signature-certificate-list: contains a private key, which must never be here; paste "-----BEGIN CERTIFICATE-----" to "-----END CERTIFICATE-----"',
  ],
  ...(
    [
      ['-----BEGIN CERTIFICATE-----\n  QUJD', 'certificate 1 has no end'],
      [`${BLOCK('QUJD')} -----BEGIN CERTIFICATE-----\n QUJD`, 'certificate 2 has no end'],
      [BLOCK('QUJD\n-----BEGIN CERTIFICATE-----\nQUJD'), 'certificate 1 has no end'],
      [BLOCK(''), 'certificate 1 is empty'],
      [BLOCK('Q!JD'), 'certificate 1 holds "Q!JD"'],
    ] as const
  ).map(
    ([value, message]) =>
      [
        `[signature]\nsignature-certificate-list =\n  ${value.replaceAll('\n', '\n  ')}`,
        2,
        `[signature] signature-certificate-list: ${message}; paste it again, "-----BEGIN CERTIFICATE-----" to "-----END CERTIFICATE-----"`,
      ] as const,
  ),
  [
    '[store]\nscrub-interval = weekly',
    2,
    '[store] scrub-interval: not a duration: "weekly"; write a number with s, m, h, d or w, such as 24h or 7d, of at most 100 years',
  ],
  // [pin]
  [
    '[pin]\na = b.cfg',
    2,
    '[pin] a: not a software URL: "b.cfg"; write it as slapos supply gets it, https://…',
  ],
  // [software]
  [
    '[software]\na = https://h/a\nB = b.cfg',
    3,
    '[software] B: not a software URL: "b.cfg"; write it as slapos supply gets it, https://…',
  ],
  [
    '[software]\na = https://h/a\n  https://h/b',
    2,
    '[software] a: has more than one line: "https://h/a\\nhttps://h/b"; write the value on one line',
  ],
  // [upload]
  ...['', '-1', '1 GX', '5 iB', '1,5G', 'G'].map(
    (size) =>
      [
        `[upload]\nmin-free-space = ${size}`,
        2,
        `[upload] min-free-space: not a size: "${size}"; write bytes or a number with a unit, such as 500M or 4 GiB`,
      ] as const,
  ),
  [
    '[upload]\nmin-free-space = 9P',
    2,
    '[upload] min-free-space: too large a size: "9P"; write at most 8 PiB less one byte',
  ],
  [
    '[upload]\nmax-blob-size = 0',
    2,
    '[upload] max-blob-size: 0 would refuse every upload; write the largest size to accept, such as 20 GiB',
  ],
  [
    '[upload]\nallow-unsigned = maybe',
    2,
    '[upload] allow-unsigned: neither yes nor no: "maybe"; write true or false',
  ],
  // [access]
  [
    '[access]\nanonymous = write',
    2,
    '[access] anonymous: not a known word: "write"; write none, read or upload',
  ],
  [
    '[access]\nanonymous = none',
    2,
    '[access] anonymous: none excludes all clients without authentication; also set htpasswd-file, client-ca-file or ldap-url',
  ],
  ...['upload-users', 'admin-users'].map(
    (key) =>
      [
        `[access]\n${key} = a`,
        2,
        `[access] ${key}: has no effect without authentication; also set htpasswd-file, client-ca-file or ldap-url`,
      ] as const,
  ),
  [
    '[access]\nhtpasswd-file = h\nupload-users = "a b',
    3,
    '[access] upload-users: has an unclosed "; write "NAME WITH SPACES"',
  ],
  [
    '[access]\nclient-ca-file = c',
    2,
    '[access] client-ca-file: requires TLS; set tls = auto in [server], or tls-certificate and tls-key',
  ],
  ...['http://h', 'ldap://', 'ldap://h/dc=x', 'ldap://u@h', 'ldap://h:99999', 'ldapi://h'].map(
    (url) =>
      [
        `[access]\nldap-url = ${url}`,
        2,
        `[access] ldap-url: not the address of an LDAP server: "${url.replace(/\/$/, '')}"; write ldap://HOST, ldaps://HOST or ldaps://HOST:PORT`,
      ] as const,
  ),
  [
    '[access]\nldap-url = ldap://h',
    2,
    '[access] ldap-url: requires the DN of users; also set ldap-bind-dn = uid={user},ou=people,dc=example,dc=org',
  ],
  ...['uid=admin,dc=x', 'uid={user},ou={group}', 'uid={user', '{user}}'].map(
    (name) =>
      [
        `[access]\nldap-url = ldap://h\nldap-bind-dn = ${name}`,
        3,
        `[access] ldap-bind-dn: the user's name is missing: "${name}"; write {user} for it, as in uid={user},ou=people,dc=example,dc=org`,
      ] as const,
  ),
  ...(
    [
      ['ldap-bind-dn', 'uid={user}'],
      ['ldap-start-tls', 'yes'],
      ['ldap-ca-file', 'c'],
      ['ldap-read-group', 'cn=g'],
      ['ldap-upload-group', 'cn=g'],
      ['ldap-admin-group', 'cn=g'],
    ] as const
  ).map(
    ([key, value]) =>
      [
        `[access]\n${key} = ${value}`,
        2,
        `[access] ${key}: has no server; also set ldap-url = ldaps://HOST, or remove the line`,
      ] as const,
  ),
  ...(
    [
      [
        'ldap-start-tls = yes',
        'ldaps',
        'ldap-start-tls: conflicts with ldaps://, which already uses TLS; write ldap:// or remove the line',
      ],
      [
        'ldap-ca-file = c',
        'ldap',
        'ldap-ca-file: has no effect without TLS; set ldap-start-tls = true or write ldaps:// in ldap-url',
      ],
      [
        'ldap-read-group = cn=g',
        'ldaps',
        'ldap-read-group: has no effect while anonymous users may read; set anonymous = none',
      ],
      [
        'ldap-admin-group = admins',
        'ldaps',
        'ldap-admin-group: not the DN of a group: "admins"; write the whole DN, as in cn=uploaders,ou=groups,dc=example,dc=org',
      ],
    ] as const
  ).map(
    ([line, scheme, message]) =>
      [
        `[access]\nldap-url = ${scheme}://h\nldap-bind-dn = uid={user}\n${line}`,
        4,
        `[access] ${message}`,
      ] as const,
  ),
  // [upstream]
  [
    '[upstream]\ndownload-binary-cache-url = ftp://h',
    2,
    '[upstream] download-binary-cache-url: not an HTTP URL: "ftp://h"; write http://HOST/… or https://HOST/…',
  ],
  [
    '[upstream]\ndownload-binary-cache-url = http://h',
    2,
    '[upstream] download-binary-cache-url: has no directory; also set download-binary-dir-url',
  ],
  [
    '[upstream]\ndownload-binary-dir-url = http://h',
    2,
    '[upstream] download-binary-dir-url: has no blobs; also set download-binary-cache-url',
  ],
  [
    `[upstream]\nsignature-certificate-list = ${BLOCK('QUJD').replaceAll('\n', '\n  ')}`,
    2,
    '[upstream] signature-certificate-list: has no upstream; also set download-binary-cache-url and download-binary-dir-url, or move it to [signature]',
  ],
  [
    '[upstream]\nca-file = ca.crt',
    2,
    '[upstream] ca-file: has no upstream; also set download-binary-cache-url and download-binary-dir-url, or use --ca FILE with a named server',
  ],
  // What is wrong is shown without the password.
  [
    '[upstream]\ndownload-binary-cache-url = ftp://u:secret@h',
    2,
    '[upstream] download-binary-cache-url: not an HTTP URL: "ftp://…@h"; write http://HOST/… or https://HOST/…',
  ],
  [
    '[upstream]\ndownload-binary-cache-url = http://u:sec?ret@h/x',
    2,
    '[upstream] download-binary-cache-url: not an HTTP URL: "http://…@h/x"; write http://HOST/… or https://HOST/…',
  ],
  [
    '[upstream]\ndownload-binary-cache-url = http://u:secret@h/x # main',
    2,
    '[upstream] download-binary-cache-url: contains a comment: "http://…@h/x # main"; a comment needs a line of its own',
  ],
  [
    '[upstream]\ndownload-binary-cache-url = http://u:secret@h\n  http://v:sec@ret@i',
    2,
    '[upstream] download-binary-cache-url: has more than one line: "http://…@h\\nhttp://…@i"; write the value on one line',
  ],
];

describe('a wrong configuration', () => {
  it.each(REFUSED)('%j is refused', (text, line, message) => {
    const fault = faultOf(text);
    expect(fault.code).toBe('config');
    expect(fault.message).toBe(`/etc/here/config.ini:${line}: ${message}`);
  });

  it('is told by its first fault', () => {
    const text = '[upload]\nallow-unsigned = x\n[server]\ntls = y\n[access]\nanonymous = z';
    expect(faultOf(text).message).toMatch(/^\/etc\/here\/config\.ini:2: \[upload\] allow-unsigned: /);
  });

  it('is told without a file too', () => {
    expect(() => parseConfig('[server]\ntls = x', { cwd: '/' })).toThrow(
      'configuration:2: [server] tls: not a known word: "x"; write off, auto or on',
    );
  });

  it('never shows a private key', () => {
    const key = '-----BEGIN PRIVATE KEY-----\n c2VjcmV0\n -----END PRIVATE KEY-----';
    expect(faultOf(`[signature]\nsignature-certificate-list = ${key}`).message).not.toContain('c2VjcmV0');
  });
});

describe('config.example.ini', () => {
  const example = readFileSync(new URL('../../config.example.ini', import.meta.url), 'utf8');
  const lines = example.split('\n');
  const SETTING = /^#(?=[a-z]| {4})/;

  it('says the defaults as it is', () => {
    expect(parse(example)).toEqual(parse(''));
  });

  it('can be uncommented as a whole', () => {
    const text = lines.map((line) => line.replace(SETTING, '')).join('\n');
    const config = parse(text);
    expect(config.server.tls).toEqual({ mode: 'auto', names: ['cache.example.org', '2001:db8::10'] });
    expect(config.access.ldap?.startTls).toBe(true);
    expect(config.upstream?.trustedCertificates).toHaveLength(1);
    expect(config.software.get('rapid-cdn-1.0.344')).toMatch(/^https:/);
  });

  it('can be uncommented line by line where the line gives the default', () => {
    const keys = [
      'listen',
      'path',
      'private-key-file',
      'certificate-file',
      'max-blob-size',
      'min-free-space',
    ];
    for (const key of [...keys, 'allow-unsigned', 'anonymous']) {
      const text = lines.map((line) => (line.startsWith(`#${key} =`) ? line.slice(1) : line)).join('\n');
      expect(text, key).not.toBe(example);
      expect(parse(text), key).toEqual(parse(''));
    }
  });

  it('has alternatives that work', () => {
    const blocks = example.match(/(?:^#: .*\n)+/gm) ?? [];
    expect(blocks).toHaveLength(4);
    for (const block of blocks) {
      const text = example.replace(block, block.replace(/^#: /gm, ''));
      expect(parse(text), block).not.toEqual(parse(''));
    }
  });

  it('documents every key', () => {
    for (const [section, { shape }] of Object.entries(createSections('/'))) {
      const start = example.indexOf(`\n[${section}]\n`);
      const end = example.indexOf('\n[', start + 1);
      const body = example.slice(start, end === -1 ? undefined : end);
      expect(start, section).toBeGreaterThan(0);
      for (const key of Object.keys(shape))
        expect(body, `[${section}]`).toMatch(new RegExp(`^#(?:: )?${key} =`, 'm'));
    }
  });
});
