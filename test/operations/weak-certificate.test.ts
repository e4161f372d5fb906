import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createLdapPeople } from '../../src/access/ldap.ts';
import { createKeyPair, type KeyPair } from '../../src/cache/certificate.ts';
import { createSigner, createTrustedCertificates } from '../../src/cache/signature.ts';
import { readCertificateFiles } from '../../src/operations/certificate-files.ts';
import { readCaFile, readTlsMaterial } from '../../src/operations/tls-certificate.ts';

let folder: string;
let weak: KeyPair;
let certificateFile: string;
let keyFile: string;
let strongFile: string;
let bundleFile: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shacache-weak-'));
  const strong = await createKeyPair({ commonName: 'strong', days: 2, bits: 2048 });
  weak = await createKeyPair({ commonName: 'weak', days: 2, bits: 512 });
  const write = async (name: string, text: string): Promise<string> => {
    await writeFile(join(folder, name), text);
    return join(folder, name);
  };
  certificateFile = await write('weak.crt', weak.certificate);
  keyFile = await write('weak.key', weak.privateKey);
  strongFile = await write('strong.crt', strong.certificate);
  await write('strong.key', strong.privateKey);
  bundleFile = await write('bundle.crt', strong.certificate + weak.certificate);
});

afterAll(() => rm(folder, { recursive: true, force: true }));

const ldap = (caFile: string) => ({
  ...{ url: 'ldaps://127.0.0.1', startTls: false, caFile, bindDn: 'uid={user},dc=example' },
  ...{ readGroup: undefined, uploadGroup: undefined, adminGroup: undefined },
});

it.each<[string, () => unknown]>([
  ['a trusted certificate', () => createTrustedCertificates([{ pem: weak.certificate, where: 'weak.crt' }])],
  ['a signing key', () => createSigner(weak, { privateKey: 'weak.key', certificate: 'weak.crt' })],
  ['a certificate to be trusted by init', () => readCertificateFiles([certificateFile])],
  [
    'the certificate of the server',
    () => readTlsMaterial({ certificateFile, keyFile, clientCaFile: undefined }),
  ],
  [
    'an authority of clients',
    () =>
      readTlsMaterial({
        certificateFile: strongFile,
        keyFile: strongFile.replace('.crt', '.key'),
        clientCaFile: bundleFile,
      }),
  ],
  ['an authority of a server that is asked', () => readCaFile(bundleFile, '--ca')],
  ['an authority of the LDAP server', () => createLdapPeople(ldap(bundleFile), { report: () => undefined })],
])('with a key of 512 bits is refused: %s', async (_what, use) => {
  await expect(Promise.resolve().then(use)).rejects.toThrow(
    /(weak|bundle)\.crt.*: the key has only 512 bits, which anybody can break; use one with 2048 or more/,
  );
});

it('a key of 1024 bits still counts: sites have them', async () => {
  const pair = await createKeyPair({ commonName: 'old', days: 2, bits: 1024 });
  expect(createTrustedCertificates([{ pem: pair.certificate, where: 'old.crt' }]).certificates).toHaveLength(
    1,
  );
});
