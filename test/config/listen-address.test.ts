import { describe, expect, it } from 'vitest';
import { parseListen } from '../../src/config/listen-address.ts';

describe('parseListen', () => {
  it.each([
    ['[::]:5050', 'http', '::', 5050],
    [':5050', 'http', '::', 5050],
    ['5050', 'http', '::', 5050],
    ['0.0.0.0:0', 'http', '0.0.0.0', 0],
    ['Cache.Example.org:80', 'http', 'cache.example.org', 80],
    ['[fe80::1%eth0]:80', 'http', 'fe80::1%eth0', 80],
    ['HTTP://[::1]:80/', 'http', '::1', 80],
  ])('reads %s', (text, scheme, host, port) => {
    expect(parseListen(text, { tls: false })).toEqual([{ scheme, host, port }]);
  });

  it('speaks HTTPS by default only where there is TLS', () => {
    expect(parseListen('5050 http://:80', { tls: true }).map(({ scheme }) => scheme)).toEqual([
      'https',
      'http',
    ]);
    expect(() => parseListen('https://:5050', { tls: false })).toThrow('requires TLS, which is off');
  });

  it('lets the system choose several ports', () => {
    expect(parseListen(':0 :0', { tls: false })).toHaveLength(2);
  });
});
