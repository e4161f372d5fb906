import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { createKeyPair } from '../../src/cache/certificate.ts';
import { keyOfSoftwareUrl } from '../../src/cache/key.ts';
import { createAuthority, type IssuedCertificate } from '../fixtures/certificate-authority.ts';
import { RAPID_CDN } from '../fixtures/entries.ts';
import { cacheErrorOf } from '../fixtures/expected-error.ts';
import { lacks } from '../http/outside-programs.ts';
import { upstreamOf } from './upstream-of.ts';

const KEY = keyOfSoftwareUrl(RAPID_CDN);
const DAY_MS = 86_400_000;
const ADDRESS = { alternativeNames: 'IP:127.0.0.1' };

interface Shown {
  readonly cert: string;
  readonly key: string;
}

/** What is said of a server that shows certificates. */
async function complaintAbout(
  shown: Shown,
  ca: readonly string[] = [],
  { host = '127.0.0.1', ...tls }: { host?: string; minVersion?: 'TLSv1'; maxVersion?: 'TLSv1.1' } = {},
): Promise<string> {
  const server = createServer({ ...shown, ...tls, ciphers: 'DEFAULT@SECLEVEL=0' }, (_request, response) =>
    response.end('[]'),
  );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const error = await cacheErrorOf(upstreamOf(`https://${host}:${port}`, { ca }).entries(KEY));
  expect(error.code).toBe('unavailable');
  return error.message;
}

/** A certificate that signed itself, in force for `days` from now; a negative number ended then. */
async function selfSigned(days: number): Promise<Shown> {
  const { privateKey, certificate } = await createKeyPair({
    commonName: 'old',
    ...{ days, bits: 2048, server: { dnsNames: [], ipAddresses: ['127.0.0.1'] } },
  });
  return { cert: certificate, key: privateKey };
}

function pair({ certificate, privateKey }: IssuedCertificate): Shown {
  return { cert: certificate, key: privateKey };
}

describe.skipIf(lacks('openssl'))('a certificate that is refused', () => {
  let folder: string;
  let root: IssuedCertificate;
  let intermediate: IssuedCertificate;
  let leaf: IssuedCertificate;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'shacache-certificates-'));
    root = await createAuthority(folder, 'root-ca');
    intermediate = await root.issue('intermediate-ca', { isAuthority: true });
    leaf = await intermediate.issue('leaf', ADDRESS);
  });

  afterAll(() => rm(folder, { recursive: true }));

  it('because it expired tells both times', async () => {
    const old = await selfSigned(-400);
    const ended = new Date(Date.now() - 400 * DAY_MS).toISOString().slice(0, 10);
    const today = new Date().toISOString().slice(0, 10);
    for (const ca of [[], [old.cert]]) {
      expect(await complaintAbout(old, ca)).toMatch(
        new RegExp(
          `\\(CERT_HAS_EXPIRED\\): the certificate of 127\\.0\\.0\\.1 expired on ${ended} \\d\\d:\\d\\d UTC; this machine's clock says ${today} \\d\\d:\\d\\d UTC: set the clock that is wrong, or renew the certificate$`,
        ),
      );
    }
    const issued = await root.issue('expired', { ...ADDRESS, isExpired: true });
    expect(await complaintAbout(pair(issued), [root.certificate])).toMatch(/of 127\.0\.0\.1 expired on 20/);
  });

  it('because the CA of the other side, or the one that was given, expired says which', async () => {
    const oldCa = await root.issue('old-ca', { isAuthority: true, isExpired: true });
    const below = await oldCa.issue('below', ADDRESS);
    const sent = { cert: below.certificate + oldCa.certificate, key: below.privateKey };
    expect(await complaintAbout(sent, [root.certificate])).toMatch(
      /: the certificate of the CA "CN=old-ca" expired on 20/,
    );
    expect(await complaintAbout(pair(below), [oldCa.certificate, root.certificate])).toMatch(
      /: the certificate of the CA "CN=old-ca" expired on 20.*, there or in --ca FILE or \[upstream\] ca-file$/,
    );
  });

  it.skipIf(lacks('faketime'))('because it is not valid yet tells both times', async () => {
    const [key, cert] = [join(folder, 'early.key'), join(folder, 'early.crt')];
    await promisify(execFile)('faketime', [
      ...['2090-01-01 00:00:00', 'openssl', 'req', '-x509', '-nodes', '-newkey', 'rsa:2048', '-days', '9'],
      ...['-subj', '/CN=early', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', cert],
    ]);
    const early = { cert: await readFile(cert, 'utf8'), key: await readFile(key, 'utf8') };
    expect(await complaintAbout(early, [early.cert])).toMatch(
      /\(CERT_NOT_YET_VALID\): the certificate of 127\.0\.0\.1 is not valid before 2090-01-01 00:00 UTC; this machine's clock says 20\d\d-\d\d-\d\d \d\d:\d\d UTC: set the clock that is wrong, or renew the certificate$/,
    );
  });

  it('because it signed itself says which file to bring', async () => {
    expect(await complaintAbout(await selfSigned(9))).toMatch(
      /: the certificate of 127\.0\.0\.1 is self-signed and unknown; copy its file from there \(with tls = auto: server\.crt\), and name it with --ca FILE or \[upstream\] ca-file$/,
    );
  });

  it('because nobody knows the CA that is sent names it', async () => {
    const sent = {
      cert: leaf.certificate + intermediate.certificate + root.certificate,
      key: leaf.privateKey,
    };
    expect(await complaintAbout(sent)).toMatch(
      /: the CA "CN=root-ca" of 127\.0\.0\.1 is unknown; name its certificate with --ca FILE/,
    );
  });

  it('because its chain is cut, or its CA is unknown, names who is missing', async () => {
    const missing = (name: string): RegExp =>
      new RegExp(
        `: the certificate of "CN=${name}" is neither known nor sent by 127\\.0\\.0\\.1; if it is a CA, name its file with --ca FILE or \\[upstream\\] ca-file; if it is an intermediate certificate, append it to the server's certificate file there$`,
      );
    expect(await complaintAbout(pair(leaf), [root.certificate])).toMatch(missing('intermediate-ca'));
    const sent = { cert: leaf.certificate + intermediate.certificate, key: leaf.privateKey };
    expect(await complaintAbout(sent)).toMatch(missing('root-ca'));
  });

  it('because it is for other names tells them', async () => {
    expect(
      await complaintAbout(pair(leaf), [intermediate.certificate, root.certificate], { host: 'localhost' }),
    ).toMatch(/: its certificate is for another name: "IP Address:127\.0\.0\.1"; use one of these$/);
  });

  it('because it, or one above it, is none for servers says so', async () => {
    const client = await root.issue('client', { ...ADDRESS, use: 'clientAuth' });
    const expected =
      /: the certificate of 127\.0\.0\.1, or of a CA above it, is not valid for a server; it needs one for servers \(serverAuth\), issued by a CA \(CA:TRUE\)$/;
    expect(await complaintAbout(pair(client), [root.certificate])).toMatch(expected);
    const noCa = await root.issue('no-ca');
    const below = await noCa.issue('below-no-ca', ADDRESS);
    const sent = { cert: below.certificate + noCa.certificate, key: below.privateKey };
    expect(await complaintAbout(sent, [root.certificate])).toMatch(
      /: the certificate of 127\.0\.0\.1 is refused \("key usage does not include certificate signing"\)$/,
    );
  });

  it('because the key of its CA is too weak says so', async () => {
    const openssl = (...args: readonly string[]): Promise<unknown> => promisify(execFile)('openssl', args);
    const at = (name: string): string => join(folder, name);
    await openssl(
      ...['req', '-x509', '-nodes', '-newkey', 'rsa:512', '-days', '9', '-subj', '/CN=weak-ca'],
      ...['-addext', 'keyUsage=keyCertSign', '-keyout', at('weak.key'), '-out', at('weak.crt')],
    );
    await openssl(
      ...['x509', '-req', '-in', at('leaf.csr'), '-CA', at('weak.crt'), '-CAkey', at('weak.key')],
      ...['-CAcreateserial', '-days', '9', '-extfile', at('leaf.ext'), '-out', at('below-weak.crt')],
    );
    const cert = await readFile(at('below-weak.crt'), 'utf8');
    const ca = await readFile(at('weak.crt'), 'utf8');
    expect(await complaintAbout({ cert, key: leaf.privateKey }, [ca])).toMatch(
      /: the certificate of 127\.0\.0\.1, or of a CA above it, is too weak \("CA certificate key too weak"\); replace it, with an RSA key of 2048 bits or more$/,
    );
  });

  it('is not what ends a handshake in another way', async () => {
    const old = { minVersion: 'TLSv1', maxVersion: 'TLSv1.1' } as const;
    expect(await complaintAbout(pair(leaf), [], old)).toMatch(
      /: the server refused the TLS handshake: ".*alert protocol version"$/,
    );
  });

  it('has a name that acts on no terminal and fills no screen', async () => {
    const odd = await createAuthority(folder, `odd${'\u001b[2J'.repeat(3)}${'x'.repeat(40)}`);
    const below = await odd.issue('below-odd', { ...ADDRESS });
    // eslint-disable-next-line no-control-regex
    expect(await complaintAbout(pair(below))).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
  });
});
