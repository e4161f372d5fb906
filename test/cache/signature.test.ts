import { execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createKeyPair } from '../../src/cache/certificate.ts';
import { createDirectory } from '../../src/cache/directory.ts';
import { parseEntry } from '../../src/cache/entry.ts';
import { keyOfSoftwareUrl } from '../../src/cache/key.ts';
import { acceptUnsigned, createSigner, createTrustedCertificates } from '../../src/cache/signature.ts';
import { openStorage } from '../fixtures/open-storage.ts';
import { membersOf, RAPID_CDN } from '../fixtures/entries.ts';
import { expectCacheError } from '../fixtures/expected-error.ts';
import {
  makePairByOpenssl,
  opensslSigns,
  opensslVerifies,
  signerOf,
  type OpensslPair,
} from '../fixtures/signing-keys.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';

/** Keys in another order than JSON.stringify would have them after a parse, spaces, an escape and raw UTF-8. */
const JSON_TEXT = `{ ${JSON.stringify(membersOf(RAPID_CDN)).slice(1, -1)},  "file":"na\\u00efve – 版.tar.gz" }`;

let folder: string;
let own: OpensslPair;
let foreign: OpensslPair;
let short: OpensslPair;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shacache-keys-'));
  own = await makePairByOpenssl(folder, 'own');
  foreign = await makePairByOpenssl(folder, 'foreign');
  short = await makePairByOpenssl(folder, 'short', 'rsa:1024');
});

afterAll(async () => {
  await rm(folder, { recursive: true });
});

const trusting = (...pairs: readonly OpensslPair[]) =>
  createTrustedCertificates(
    pairs.map(({ certificate, certificateFile }) => ({ pem: certificate, where: certificateFile })),
  );

describe('a signature', () => {
  it('of ours is verified by openssl, over the exact text', async () => {
    const { pair } = signerOf(own).sign(JSON_TEXT);
    expect(pair[0]).toBe(JSON_TEXT);
    expect(await opensslVerifies(folder, own.certificateFile, pair)).toBe(true);
    expect(await opensslVerifies(folder, foreign.certificateFile, pair)).toBe(false);
    expect(await opensslVerifies(folder, own.certificateFile, [`${JSON_TEXT} `, pair[1]])).toBe(false);
  });

  it('of ours is the very one that openssl makes', async () => {
    // PKCS#1 v1.5 has no random part.
    expect(signerOf(own).sign(JSON_TEXT).pair[1]).toBe(await opensslSigns(folder, own.keyFile, JSON_TEXT));
  });

  it('of openssl is verified here', async () => {
    const entry = parseEntry([JSON_TEXT, await opensslSigns(folder, own.keyFile, JSON_TEXT)]);
    expect(trusting(own).verify(entry)).toBe(entry);
  });

  it('of a key of 1024 bits counts, in both directions', async () => {
    const signer = signerOf(short);
    expect(signer.bits).toBe(1024);
    const ours = signer.sign(JSON_TEXT);
    expect(await opensslVerifies(folder, short.certificateFile, ours.pair)).toBe(true);
    expect(trusting(short).signerOf(ours)).toBeDefined();
    const theirs = parseEntry([JSON_TEXT, await opensslSigns(folder, short.keyFile, JSON_TEXT)]);
    expect(trusting(short).signerOf(theirs)).toBeDefined();
  });

  it('by a foreign certificate is refused, with what to do', async () => {
    const entry = signerOf(foreign).sign(JSON_TEXT);
    expect(trusting(own, short).signerOf(entry)).toBeUndefined();
    await expectCacheError(
      () => trusting(own, short).verify(entry),
      'untrusted',
      /signature-certificate-list/,
    );
    await expectCacheError(() => trusting().verify(entry), 'untrusted');
  });

  it('is tried against each certificate of the list', () => {
    const trusted = trusting(own, short, foreign);
    expect(trusted.signerOf(signerOf(foreign).sign(JSON_TEXT))?.subject).toBe('CN=foreign');
    expect(trusted.signerOf(signerOf(own).sign(JSON_TEXT))?.subject).toBe('CN=own');
  });

  it('over text that was re-serialised is refused', async () => {
    const [, signature] = signerOf(own).sign(JSON_TEXT).pair;
    const again = JSON.stringify(JSON.parse(JSON_TEXT));
    expect(again).not.toBe(JSON_TEXT);
    await expectCacheError(() => trusting(own).verify(parseEntry([again, signature])), 'untrusted');
  });

  it('is refused after any one change of it', async () => {
    const [, signature] = signerOf(own).sign(JSON_TEXT).pair;
    const bytes = Buffer.from(signature, 'base64');
    for (const at of [0, 1, bytes.length >> 1, bytes.length - 1]) {
      const flipped = Buffer.from(bytes);
      flipped[at] = (flipped[at] ?? 0) ^ 1;
      const entry = parseEntry([JSON_TEXT, flipped.toString('base64')]);
      await expectCacheError(() => trusting(own).verify(entry), 'untrusted');
    }
    for (const cut of [
      bytes.subarray(1),
      bytes.subarray(0, -1),
      Buffer.concat([bytes, Buffer.of(0)]),
      Buffer.alloc(0),
    ]) {
      expect(trusting(own).signerOf(parseEntry([JSON_TEXT, cut.toString('base64')]))).toBeUndefined();
    }
  });

  it('may have line breaks, as old clients made them', () => {
    const [, signature] = signerOf(own).sign(JSON_TEXT).pair;
    const lines = `${(signature.match(/.{1,76}/g) ?? []).join('\n')}\n`;
    expect(lines).not.toBe(signature);
    expect(trusting(own).signerOf(parseEntry([JSON_TEXT, lines]))).toBeDefined();
    expect(trusting(own).signerOf(parseEntry([JSON_TEXT, lines.replaceAll('\n', '\r\n')]))).toBeDefined();
  });

  it('with white space more is no other entry: an old one must not come back as the newest', async () => {
    const root = await temporaryFolder();
    const directory = createDirectory(await openStorage(root, { write: true }));
    const key = keyOfSoftwareUrl(RAPID_CDN);
    const old = signerOf(own).sign(JSON_TEXT);
    const newer = signerOf(own).sign(JSON.stringify(membersOf(RAPID_CDN)));
    await directory.add(key, old);
    await directory.add(key, newer);
    for (const space of [' ', '\n', '\t\r\n']) {
      const again = trusting(own).verify(parseEntry([JSON_TEXT, old.pair[1] + space]));
      expect(await directory.add(key, again)).toBe(false);
    }
    expect((await directory.entries(key)).map(({ digest }) => digest)).toEqual([newer.digest, old.digest]);
  });

  it('with white space that Python refuses is refused', async () => {
    const [, signature] = signerOf(own).sign(JSON_TEXT).pair;
    for (const space of ['\u00a0', '\ufeff', '\u2028', '\v']) {
      const entry = parseEntry([JSON_TEXT, signature + space]);
      await expectCacheError(() => trusting(own).verify(entry), 'untrusted');
    }
  });

  it('in base64url is refused: Python would read another one', () => {
    // Until the text of a signature has one of the two characters that differ.
    let entry = signerOf(own).sign(JSON_TEXT);
    for (let spaces = 1; !/[+/]/.test(entry.pair[1]); spaces++) {
      entry = signerOf(own).sign(JSON_TEXT + ' '.repeat(spaces));
    }
    const [json, signature] = entry.pair;
    const url = signature.replaceAll('+', '-').replaceAll('/', '_');
    expect(Buffer.from(url, 'base64').equals(Buffer.from(signature, 'base64'))).toBe(true);
    expect(trusting(own).signerOf(parseEntry([json, url]))).toBeUndefined();
    expect(trusting(own).signerOf(parseEntry([json, signature.replace(/=+$/, '')]))).toBeUndefined();
    expect(trusting(own).signerOf(parseEntry([json, `!${signature}`]))).toBeUndefined();
    expect(trusting(own).signerOf(parseEntry([json, signature]))).toBeDefined();
  });

  it('that is missing is told apart from a wrong one', async () => {
    await expectCacheError(
      () => trusting(own).verify(parseEntry([JSON_TEXT, ''])),
      'untrusted',
      /is not signed/,
    );
  });

  it('that is missing can be accepted, one that nobody trusts can not', async () => {
    const unsigned = parseEntry([JSON_TEXT, '']);
    expect(acceptUnsigned(unsigned)).toBe(unsigned);
    await expectCacheError(() => acceptUnsigned(signerOf(foreign).sign(JSON_TEXT)), 'untrusted');
  });

  it('of an expired certificate still counts, as on the nodes', async () => {
    const expired = await createKeyPair({ commonName: 'long ago', days: -0.5, bits: 1024 });
    // `-checkend 0` ends with 1 for a certificate that has expired.
    expect(() =>
      execFileSync('openssl', ['x509', '-noout', '-checkend', '0'], {
        input: expired.certificate,
        stdio: 'pipe',
      }),
    ).toThrow(/Command failed/);
    const trusted = createTrustedCertificates([{ pem: expired.certificate, where: 'list' }]);
    expect(trusted.signerOf(signerOf(expired).sign(JSON_TEXT))).toBeDefined();
  });
});

describe('a signer', () => {
  const files = { privateKey: '/etc/sign.key', certificate: '/etc/sign.crt' };

  it('refuses a key and a certificate that do not match, naming both files', async () => {
    await expectCacheError(
      () => createSigner({ privateKey: own.privateKey, certificate: foreign.certificate }, files),
      'config',
      /\/etc\/sign\.key and \/etc\/sign\.crt do not match/,
    );
  });

  it('refuses a key of another kind than the certificate', async () => {
    const curve = await makePairByOpenssl(folder, 'curve-key', 'prime256v1');
    await expectCacheError(
      () => createSigner({ privateKey: curve.privateKey, certificate: own.certificate }, files),
      'config',
      /do not match/,
    );
  });

  it('refuses an encrypted key without asking for a password', async () => {
    const encrypted = execFileSync('openssl', ['rsa', '-aes128', '-passout', 'pass:x', '-in', own.keyFile], {
      encoding: 'utf8',
      stdio: 'pipe',
    });
    for (const privateKey of [encrypted, '', 'x', own.certificate]) {
      await expectCacheError(
        () => createSigner({ privateKey, certificate: own.certificate }, files),
        'config',
        /^\/etc\/sign\.key: not an unencrypted private key/,
      );
    }
  });

  it('takes the key in the older PKCS#1 form, too', () => {
    const pkcs1 = execFileSync('openssl', ['rsa', '-traditional', '-in', own.keyFile], {
      encoding: 'utf8',
      stdio: 'pipe',
    });
    expect(pkcs1).toContain('BEGIN RSA PRIVATE KEY');
    const signer = createSigner({ privateKey: pkcs1, certificate: own.certificate }, files);
    expect(signer.sign(JSON_TEXT).pair).toEqual(signerOf(own).sign(JSON_TEXT).pair);
  });

  it('tells its certificate in PEM', () => {
    expect(signerOf(own).certificate.trim()).toBe(own.certificate.trim());
  });
});

describe('a trusted certificate', () => {
  it('with an elliptic curve is refused: nodes verify RSA only', async () => {
    const curve = await makePairByOpenssl(folder, 'curve', 'prime256v1');
    await expectCacheError(
      () => createTrustedCertificates([{ pem: curve.certificate, where: 'config.ini: certificate 2' }]),
      'config',
      /^config\.ini: certificate 2: .* type ec; nodes verify RSA only/,
    );
  });

  it('that is none is refused, naming its place', async () => {
    for (const pem of ['', 'x', own.privateKey, own.certificate.replace('MII', 'MIX')]) {
      await expectCacheError(
        () => createTrustedCertificates([{ pem, where: 'config.ini: certificate 1' }]),
        'config',
        /^config\.ini: certificate 1: not a PEM certificate/,
      );
    }
  });
});
