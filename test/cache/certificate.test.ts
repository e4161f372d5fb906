import { execFileSync } from 'node:child_process';
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { createKeyPair, parseCertificate } from '../../src/cache/certificate.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';

const DAY_MS = 86_400_000;

/** What `openssl x509`, the judge from outside, prints. */
function opensslSays(pem: string, ...options: readonly string[]): string {
  return execFileSync('openssl', ['x509', '-noout', ...options], { input: pem, encoding: 'utf8' });
}

describe('a certificate that we make', () => {
  it('names who it is for, in any script', async () => {
    const { certificate } = await createKeyPair({
      commonName: 'Főállomás 版, "Ставрополь"',
      days: 10,
      bits: 1024,
    });
    const subject = opensslSays(certificate, '-subject', '-nameopt', 'utf8,sep_multiline');
    expect(subject).toContain('CN=Főállomás 版, "Ставрополь"');
    expect(opensslSays(certificate, '-subject', '-nameopt', 'show_type,sep_multiline')).toContain(
      'UTF8STRING',
    );
    expect(opensslSays(certificate, '-issuer').slice(7)).toBe(opensslSays(certificate, '-subject').slice(8));
  });

  it('has an RSA key of 3072 bits and a SHA-256 signature of its own key', async () => {
    const folder = await temporaryFolder();
    const { privateKey, certificate } = await createKeyPair({ commonName: 'ShaCache', days: 3653 });
    const text = opensslSays(certificate, '-text');
    expect(text).toContain('Public-Key: (3072 bit)');
    expect(text.match(/Signature Algorithm: (\S+)/g)).toEqual([
      'Signature Algorithm: sha256WithRSAEncryption',
      'Signature Algorithm: sha256WithRSAEncryption',
    ]);
    const file = join(folder, 'sign.crt');
    await writeFile(file, certificate);
    const verdict = execFileSync('openssl', ['verify', '-check_ss_sig', '-CAfile', file, file], {
      encoding: 'utf8',
    });
    expect(verdict).toContain('OK');
    expect(new X509Certificate(certificate).checkPrivateKey(createPrivateKey(privateKey))).toBe(true);
  });

  it.each([1, 3653, 20_000])(
    'is valid for %d days, and since yesterday for clocks that are behind',
    async (days) => {
      const before = Date.now();
      const { certificate } = await createKeyPair({ commonName: 'ShaCache', days, bits: 1024 });
      const after = Date.now();
      const dates = opensslSays(certificate, '-dates', '-dateopt', 'iso_8601');
      const [, begin = '', end = ''] = /notBefore=(.*)\nnotAfter=(.*)\n/.exec(dates) ?? [];
      // The certificate has whole seconds.
      expect(Date.parse(begin)).toBeGreaterThanOrEqual(before - DAY_MS - 1000);
      expect(Date.parse(begin)).toBeLessThanOrEqual(after - DAY_MS);
      expect(Date.parse(end)).toBeGreaterThanOrEqual(before + days * DAY_MS - 1000);
      expect(Date.parse(end)).toBeLessThanOrEqual(after + days * DAY_MS);
    },
  );

  it('has a positive serial number of at most 20 bytes, another one each time', async () => {
    const serials = await Promise.all(
      Array.from({ length: 8 }, async () => {
        const { certificate } = await createKeyPair({ commonName: 'ShaCache', days: 1, bits: 1024 });
        return opensslSays(certificate, '-serial').trim().slice('serial='.length);
      }),
    );
    for (const serial of serials) expect(serial).toMatch(/^[0-7][0-9A-F]{1,39}$/);
    expect(new Set(serials).size).toBe(8);
  });

  it('for signing is no certificate authority', async () => {
    const { certificate } = await createKeyPair({ commonName: 'ShaCache', days: 1, bits: 1024 });
    const text = opensslSays(certificate, '-ext', 'basicConstraints,keyUsage,subjectAltName');
    expect(text).toContain('CA:FALSE');
    expect(text).toContain('Digital Signature');
    expect(text).not.toContain('Alternative');
  });

  it('for a server has its names and addresses, of IPv4 and IPv6', async () => {
    const { certificate } = await createKeyPair({
      commonName: 'cache.example',
      days: 1,
      bits: 1024,
      server: {
        dnsNames: ['cache.example', 'localhost'],
        ipAddresses: ['192.168.32.10', '127.0.0.1', '::1', '2001:db8::10:0:1', 'fd00:1:2:3:4:5:6:7'],
      },
    });
    const names = opensslSays(certificate, '-ext', 'subjectAltName');
    expect(names.split(/[\n,]\s*/).filter((name) => /^(DNS|IP)/.test(name))).toEqual([
      'DNS:cache.example',
      'DNS:localhost',
      'IP Address:192.168.32.10',
      'IP Address:127.0.0.1',
      'IP Address:0:0:0:0:0:0:0:1',
      'IP Address:2001:DB8:0:0:0:10:0:1',
      'IP Address:FD00:1:2:3:4:5:6:7',
    ]);
    expect(opensslSays(certificate, '-ext', 'extendedKeyUsage')).toContain('TLS Web Server Authentication');
    const x509 = parseCertificate(certificate, 'tls.crt');
    for (const address of ['192.168.32.10', '::1', '2001:db8::10:0:1'])
      expect(x509.checkIP(address)).toBe(address);
    expect(x509.checkIP('192.168.32.11')).toBeUndefined();
    expect(x509.checkHost('localhost')).toBe('localhost');
  });

  it('is PEM that Python reads, with line feeds alone', async () => {
    const { privateKey, certificate } = await createKeyPair({ commonName: 'ShaCache', days: 1, bits: 1024 });
    expect(certificate + privateKey).not.toContain('\r');
    const script = 'import ssl, sys; print(len(ssl.PEM_cert_to_DER_cert(sys.stdin.read())))';
    const length = execFileSync('python3', ['-c', script], { input: certificate, encoding: 'utf8' });
    expect(Number(length)).toBe(new X509Certificate(certificate).raw.length);
  });
});
