import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { keyPairOf } from '../fixtures/key-pairs.ts';
import { formatNetworkcacheSection, networkcacheValues } from '../../src/operations/slapos-cfg.ts';

/** The sections as Python's ConfigParser, which reads slapos.cfg on the nodes, has them. */
function pythonReads(text: string, parser: string): Record<string, Record<string, string>> {
  const script = `
import configparser, json, sys
parser = configparser.${parser}
parser.read_string(sys.stdin.buffer.read().decode())
print(json.dumps({section: dict(parser.items(section)) for section in parser.sections()}))
`;
  const output = execFileSync('python3', ['-c', script], { input: text, encoding: 'utf8' });
  return JSON.parse(output) as Record<string, Record<string, string>>;
}

// slapos.core and networkcache-download read slapos.cfg with this one.
const PARSERS = ['ConfigParser()', 'ConfigParser(strict=False)'];

const SLAPOS_CFG = `[slapos]
software_root = /opt/slapgrid
master_url = https://slap.vifib.com/
download-from-binary-cache-url-blacklist =
  https://lab.nexedi.com/nexedi/slapos/raw/master
  /

[slapformat]
interface_name = lo
`;

describe.each(PARSERS)('the [networkcache] section, read by %s', (parser) => {
  it('comes through, appended to a slapos.cfg', async () => {
    const certificates = await Promise.all(
      ['one', 'two'].map(async (commonName) => (await keyPairOf(commonName)).certificate),
    );
    const section = formatNetworkcacheSection(
      networkcacheValues({
        url: 'http://[2001:db8::1]:5050',
        certificates: [certificates[0] ?? '', (certificates[1] ?? '').replaceAll('\n', '\r\n')],
        forceUrls: ['https://example.com/a%20b/software.cfg', 'https://example.com/c#d;e/software.cfg'],
        upload: {
          url: 'https://me:50%25@cache:5443',
          caFile: '/etc/ssl/cache.crt',
          hasClientCertificate: true,
        },
      }),
    );
    const read = pythonReads(SLAPOS_CFG + section, parser);
    expect(Object.keys(read)).toEqual(['slapos', 'slapformat', 'networkcache']);
    expect(read['slapos']?.['software_root']).toBe('/opt/slapgrid');
    const { 'signature-certificate-list': list = '', ...others } = read['networkcache'] ?? {};
    expect(list.trim()).toBe(certificates.map((pem) => pem.trim()).join('\n'));
    expect(others).toEqual({
      'download-binary-cache-url': 'http://[2001:db8::1]:5050/bcache',
      'download-binary-dir-url': 'http://[2001:db8::1]:5050/bdir',
      'download-cache-url': 'http://[2001:db8::1]:5050/bcache',
      'download-dir-url': 'http://[2001:db8::1]:5050/bdir',
      'upload-binary-cache-url': 'https://me:50%25@cache:5443/bcache',
      'upload-binary-dir-url': 'https://me:50%25@cache:5443/bdir',
      'signature-private-key-file': '/etc/opt/slapos/shacache/signature.key',
      'shacache-ca-file': '/etc/ssl/cache.crt',
      'shacache-cert-file': '/etc/opt/slapos/shacache/shacache.cert',
      'shacache-key-file': '/etc/opt/slapos/shacache/shacache.key',
      'shadir-ca-file': '/etc/ssl/cache.crt',
      'shadir-cert-file': '/etc/opt/slapos/shacache/shadir.cert',
      'shadir-key-file': '/etc/opt/slapos/shacache/shadir.key',
      'download-from-binary-cache-force-url-list':
        '\nhttps://example.com/a%20b/software.cfg\nhttps://example.com/c#d;e/software.cfg',
    });
  });

  it('has only what there is', () => {
    for (const forceUrls of [undefined, []]) {
      const section = formatNetworkcacheSection(
        networkcacheValues({
          url: 'http://cache:5050',
          certificates: [],
          ...(forceUrls === undefined ? {} : { forceUrls }),
        }),
      );
      expect(pythonReads(section, parser)).toEqual({
        networkcache: {
          'download-binary-cache-url': 'http://cache:5050/bcache',
          'download-binary-dir-url': 'http://cache:5050/bdir',
          'download-cache-url': 'http://cache:5050/bcache',
          'download-dir-url': 'http://cache:5050/bdir',
        },
      });
    }
  });

  it('has empty names of a client certificate over TLS, for which networkcache-download has no default', () => {
    const section = formatNetworkcacheSection(
      networkcacheValues({ url: 'https://cache:5443', certificates: [] }),
    );
    expect(pythonReads(section, parser)['networkcache']).toMatchObject({
      'shacache-cert-file': '',
      'shacache-key-file': '',
      'shadir-cert-file': '',
      'shadir-key-file': '',
    });
    expect(section).not.toContain('ca-file');
  });
});
