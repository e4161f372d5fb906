import { X509Certificate } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createAuthority, type IssuedCertificate } from '../fixtures/certificate-authority.ts';
import { clock } from '../fixtures/clock.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { lacks, PLAIN_CURL, run } from './outside-programs.ts';
import { MAIN, ServeProcess, type ServeOptions } from './serve-process.ts';
import { certificateShown, placeOf } from './tls-connection.ts';

const PATIENCE = { timeout: 30_000 };
const AUTO = '[server]\ntls = auto\n';

function start(folder: string, config: string, more: ServeOptions = {}): Promise<ServeProcess> {
  return ServeProcess.start({ folder, listen: 'https://127.0.0.1:0', config, ...more });
}

function configOf({
  certificateFile,
  keyFile,
}: Pick<IssuedCertificate, 'certificateFile' | 'keyFile'>): string {
  return `[server]\ntls-certificate = ${certificateFile}\ntls-key = ${keyFile}\n`;
}

async function health(url: string): Promise<unknown> {
  const { stdout } = await run('curl', [...PLAIN_CURL, '-sk', `${url}/health`]);
  return JSON.parse(stdout);
}

describe.skipIf(lacks('openssl', 'curl', 'faketime'))('the certificate of tls = auto', () => {
  it.each([
    [
      'expired',
      '2000-01-01 00:00:00',
      undefined,
      /expired on 2010-01-01 \d\d:\d\d UTC; this machine's clock says 20/,
    ],
    [
      'not valid yet',
      undefined,
      '2000-01-01 00:00:00',
      /is not valid before 20\d\d-\d\d-\d\d \d\d:\d\d UTC; this machine's clock says 2000-01-01 00:00 UTC/,
    ],
  ])('that is %s is made anew, for the same key, and that is said', async (_what, before, after, message) => {
    const at = await temporaryFolder();
    const at1 = before === undefined ? {} : { variables: clock(before) };
    const at2 = after === undefined ? {} : { variables: clock(after) };
    const first = await start(at, AUTO, at1);
    await first.urls();
    first.signal('SIGTERM');
    await first.exit;
    const [certificate, key] = [join(at, 'server.crt'), join(at, 'server.key')];
    const old = { certificate: await readFile(certificate, 'utf8'), key: await readFile(key, 'utf8') };

    const second = await start(at, AUTO, at2);
    const [url = ''] = await second.urls();
    expect(second.stderr).toMatch(message);
    expect(second.stderr).toContain(`made a new certificate: ${certificate}; copy it to the nodes`);
    const made = await readFile(certificate, 'utf8');
    expect(made).not.toBe(old.certificate);
    expect((await certificateShown(placeOf(url))).toString()).toBe(made);
    expect(await readFile(key, 'utf8')).toBe(old.key);
    expect(await health(url)).toMatchObject({
      tls: { expires: new Date(new X509Certificate(made).validTo).toISOString() },
    });
    expect(await health(url)).not.toHaveProperty('tls.fault');
  });

  it('that nodes have is used again after a clock that was wrong for a while', async () => {
    const at = await temporaryFolder();
    const files = ['server.crt', 'server.key'].map((name) => join(at, name));
    const both = (): Promise<readonly string[]> => Promise.all(files.map((file) => readFile(file, 'utf8')));
    const serveOnce = async (setting?: string): Promise<string> => {
      const serve = await start(at, AUTO, setting === undefined ? {} : { variables: clock(setting) });
      await serve.urls();
      serve.signal('SIGTERM');
      await serve.exit;
      return serve.stderr;
    };
    await serveOnce();
    const before = await both();
    for (const wrong of ['2000-01-01 00:00:00', '1985-01-01 00:00:00']) await serveOnce(wrong);
    expect(await both()).not.toEqual(before);
    expect(await serveOnce()).toMatch(
      /server\.crt: it expired on 1995-.*; the certificate that it had replaced is used again$/m,
    );
    expect(await both()).toEqual(before);
  });

  it('stays as it is while it is good', async () => {
    const at = await temporaryFolder();
    for (let times = 0; times < 2; times++) {
      const serve = await start(at, AUTO);
      const [url = ''] = await serve.urls();
      expect(serve.stderr).not.toContain('made a new certificate');
      expect(await health(url)).toMatchObject({
        status: 'ok',
        tls: { expires: expect.stringMatching(/^20\d\d-/) as string },
      });
      serve.signal('SIGTERM');
      await serve.exit;
    }
  });
});

describe.skipIf(lacks('openssl', 'curl'))('a certificate that is given', () => {
  let folder: string;
  let siteCa: IssuedCertificate;
  let expired: IssuedCertificate;
  let good: IssuedCertificate;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'shacache-dates-'));
    siteCa = await createAuthority(folder, 'site-ca');
    expired = await siteCa.issue('expired', { isExpired: true });
    good = await siteCa.issue('good');
  });

  afterAll(() => rm(folder, { recursive: true }));

  it('and has expired is used, with a warning at the start, in /health and whenever it is read again', async () => {
    const at = await temporaryFolder();
    const serve = await start(at, configOf(expired));
    const [url = ''] = await serve.urls();
    const warning =
      /expired\.crt: it expired on 20\d\d-\d\d-\d\d \d\d:\d\d UTC; this machine's clock says .* UTC: nodes refuse it/g;
    expect(serve.stderr.match(warning)).toHaveLength(1);
    expect(await health(url)).toMatchObject({
      status: 'ok',
      tls: { fault: expect.stringMatching(/^it expired on 20/) as string },
    });
    expect(JSON.stringify(await health(url))).not.toContain(folder);
    // Who hands out what names it is told, too.
    await run(process.execPath, [MAIN, 'keygen', '-c', join(at, 'config.ini')]);
    const told = await run(process.execPath, [MAIN, 'slapos-cfg', '-c', join(at, 'config.ini')]);
    expect(told.stderr).toMatch(/expired\.crt: it expired on 20/);
    await expect.poll(() => serve.stderr, PATIENCE).toContain('"serving ');
    serve.signal('SIGHUP');
    await expect.poll(() => serve.stderr.match(warning)?.length, PATIENCE).toBe(2);
  });

  it('for clients, and has expired, is named at the start, when it is read again, in /ready and /metrics', async () => {
    const at = await temporaryFolder();
    const clientCa = await siteCa.issue('client-ca', { isAuthority: true, isExpired: true });
    const serve = await start(
      at,
      `${configOf(good)}[access]\nclient-ca-file = ${clientCa.certificateFile}\nupload-users = builder\n`,
    );
    const [url = ''] = await serve.urls();
    const warning =
      /client-ca\.crt: it expired on 20\d\d-\d\d-\d\d \d\d:\d\d UTC; this machine's clock says .* UTC: no certificate of a client that it issued counts; renew it, or set the clock/g;
    expect(serve.stderr.match(warning)).toHaveLength(1);
    await expect.poll(() => serve.stderr, PATIENCE).toContain('"serving ');
    serve.signal('SIGHUP');
    await expect.poll(() => serve.stderr.match(warning)?.length, PATIENCE).toBe(2);
    const ready = async (): Promise<unknown> =>
      JSON.parse((await run('curl', [...PLAIN_CURL, '-sk', `${url}/ready`])).stdout);
    await expect.poll(ready, PATIENCE).toMatchObject({
      ready: true,
      warnings: [
        { code: 'certificate', reason: expect.stringMatching(/^the client CA: it expired on 20/) as string },
      ],
    });
    const metrics = await run('curl', [...PLAIN_CURL, '-sk', `${url}/metrics`]);
    expect(metrics.stdout).toMatch(
      /^shacache_certificate_not_after_timestamp_seconds\{use="client-ca"\} \d+$/m,
    );
  });

  it.skipIf(lacks('faketime'))('and has expired is complained about every day', async () => {
    // A day of this clock is over in two seconds.
    const serve = await start(await temporaryFolder(), configOf(expired), { variables: clock('+0 x43200') });
    await serve.urls();
    await expect
      .poll(() => serve.stderr.match(/expired\.crt: it expired/g)?.length ?? 0, PATIENCE)
      .toBeGreaterThanOrEqual(3);
  });

  it.skipIf(lacks('faketime'))('and ends within two weeks is complained about', async () => {
    const inThreeWeeks = new Date(Date.now() + 21 * 86_400_000).toISOString().slice(0, 10);
    const serve = await start(await temporaryFolder(), configOf(good), {
      variables: clock(`${inThreeWeeks} 00:00:00`),
    });
    await serve.urls();
    expect(serve.stderr).toMatch(/good\.crt: it ends on 20\d\d-\d\d-\d\d \d\d:\d\d UTC: renew it before/);
    const quiet = await start(await temporaryFolder(), configOf(good));
    await quiet.urls();
    expect(quiet.stderr).not.toContain('good.crt');
  });

  it('with a chain in the wrong order, or that is cut, is named as that', async () => {
    const upper = await siteCa.issue('upper', { isAuthority: true });
    const lower = await upper.issue('lower', { isAuthority: true });
    const leaf = await lower.issue('leaf', { alternativeNames: 'IP:127.0.0.1' });
    const told = async (...chain: readonly IssuedCertificate[]): Promise<string> => {
      const certificateFile = join(await temporaryFolder(), 'chain.crt');
      await writeFile(certificateFile, chain.map(({ certificate }) => certificate).join(''));
      const serve = await start(
        await temporaryFolder(),
        configOf({ certificateFile, keyFile: leaf.keyFile }),
      );
      const urls = await serve.urls().catch(() => []);
      if (urls.length === 0) expect(await serve.exit).toMatchObject({ code: 2 });
      return serve.stderr;
    };
    expect(await told(leaf, lower, upper)).not.toContain('chain');
    expect(await told(leaf, lower, upper, siteCa)).not.toContain('chain.crt');
    expect(await told(leaf, upper, lower)).toMatch(
      /chain\.crt: its chain is in the wrong order: each certificate must be followed by its issuer/,
    );
    expect(await told(leaf, upper)).toMatch(
      /chain\.crt: its chain is cut: the certificate of "CN=lower", which issued "CN=leaf", is missing behind it/,
    );
    expect(await told(lower, upper, leaf)).toMatch(
      /chain\.crt: its chain is in the wrong order: the server's own certificate, which is number 3, must come first\n$/,
    );
    const torn = { ...lower, certificate: lower.certificate.slice(0, 300) };
    expect(await told(leaf, torn)).toMatch(/chain\.crt, certificate 2: not a PEM certificate\n$/);
    const damaged = { ...lower, certificate: lower.certificate.replace(/\n[^\n]{9}/, '\nAAAAAAAAA') };
    expect(await told(leaf, damaged)).toMatch(/chain\.crt, certificate 2: not a PEM certificate\n$/);
  });

  it('and is too weak for TLS is named as that', async () => {
    const files = { keyFile: join(folder, 'weak.key'), certificateFile: join(folder, 'weak.crt') };
    const openssl = ['req', '-x509', '-nodes', '-newkey', 'rsa:512', '-days', '9', '-subj', '/CN=weak'];
    await run('openssl', [...openssl, '-keyout', files.keyFile, '-out', files.certificateFile]);
    const serve = await start(await temporaryFolder(), configOf(files));
    expect(await serve.exit).toMatchObject({ code: 2 });
    expect(serve.stderr).toMatch(
      /weak\.crt: the key has only 512 bits, which anybody can break; use one with 2048 or more\n$/,
    );
  });
});
