import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import type { Catalog, CatalogState } from '../../src/cache/catalog.ts';
import { digestOf } from '../../src/cache/digest.ts';
import { CacheError } from '../../src/cache/errors.ts';
import { keyOfSoftwareUrl, parseKey } from '../../src/cache/key.ts';
import type { Signer } from '../../src/cache/signature.ts';
import type { AccessControl, Role } from '../../src/http/access-control.ts';
import { RAPID_CDN } from '../fixtures/entries.ts';
import { startPageServer, type PageServer, type PageServerOptions } from '../fixtures/page-server.ts';
import { addBlob, addRelease, BOOKWORM, JAMMY } from '../operations/test-store.ts';
import { ask, headerOf, type RawRequest, type RawResponse } from './raw-connection.ts';
import { createTestSigner } from './test-signer.ts';

/** As browsers send it. */
const BROWSER = { Accept: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8' };
const KEY = keyOfSoftwareUrl(RAPID_CDN);
const urlOf = (version: string, name: string) =>
  `https://lab.nexedi.com/nexedi/slapos/raw/${version}/software/${name}/software.cfg`;

let signer: Signer;
let stranger: Signer;

beforeAll(async () => {
  [signer, stranger] = await Promise.all([createTestSigner('signer.example'), createTestSigner('stranger')]);
});

async function start(options: PageServerOptions = {}): Promise<PageServer> {
  const server = await startPageServer({ signers: [signer], ...options });
  onTestFinished(async () => {
    await server.stop();
  });
  return server;
}

const browse = (server: PageServer, target: string, { headers, ...more }: RawRequest = {}) =>
  ask(server, target, { headers: { ...BROWSER, ...headers }, ...more });

const htmlOf = ({ body }: RawResponse): string => body.toString('utf8');

/** What a person reads: no tags, and one space between words. */
function textOf(response: RawResponse): string {
  return htmlOf(response)
    .replace(/<wbr\/?>/g, '')
    .replace(/<\/(?:bdi|b|a|code)>|<(?:bdi|b|a|code)\b[^>]*>/g, '')
    .replace(/<[^>]*>/g, ' ')
    .replaceAll('&quot;', '"')
    .replaceAll('&#39;', "'")
    .replaceAll('&lt;', '<')
    .replaceAll('&gt;', '>')
    .replaceAll('&amp;', '&')
    .replace(/\s+/g, ' ');
}

it('says that the server is not ready, and why', async () => {
  const reasons = [{ code: 'storage', reason: 'the store cannot be read' }] as const;
  const warnings = [{ code: 'upstream', reason: 'the upstream does not answer' }] as const;
  const server = await start({ parts: { readiness: () => ({ reasons, warnings }) } });
  const text = textOf(await browse(server, '/'));
  expect(text).toContain('Nodes cannot rely on this cache now: the store cannot be read');
  expect(text).toContain('Warning: the upstream does not answer');
  expect(textOf(await browse(await start(), '/'))).not.toContain('Nodes cannot rely');
});

describe('a page', () => {
  let server: PageServer;

  beforeAll(async () => {
    server = await startPageServer({ signers: [signer] });
    await addRelease(server, signer, { content: 'jammy', os: JAMMY });
    await addRelease(server, stranger, { content: 'bookworm', os: BOOKWORM });
    await addRelease(server, signer, { url: urlOf('1.0.349', 'kvm'), content: 'kvm', os: JAMMY });
    const gone = await addRelease(server, signer, { url: urlOf('1.0.350', 'gone'), content: 'gone' });
    await server.blobs.remove(gone.sha512);
    await addBlob(server.blobs, 'egg');
    const egg = { sha512: digestOf('egg'), basename: 'egg-1.tar.gz' };
    await server.directory.add(parseKey('pypi:egg=1'), signer.sign(JSON.stringify(egg)));
  });

  afterAll(() => server.stop());

  it.each(['/', '/sources', '/check', `/release/${KEY}`, '/nothing'])(
    'allows a browser nothing but its own files: %s',
    async (target) => {
      const response = await browse(server, target);
      const policy = headerOf(response, 'Content-Security-Policy') ?? '';
      expect(policy).toContain("default-src 'none'");
      expect(policy).toContain("frame-ancestors 'none'");
      expect(policy).not.toContain('unsafe');
      expect(headerOf(response, 'X-Content-Type-Options')).toBe('nosniff');
      expect(headerOf(response, 'Referrer-Policy')).toBe('no-referrer');
      expect(headerOf(response, 'Content-Type')).toBe('text/html; charset=UTF-8');
      expect(headerOf(response, 'Vary')).toBe('Accept');
      expect(htmlOf(response)).toMatch(/^<!doctype html>/i);
      expect(htmlOf(response)).not.toMatch(/ style=| on\w+=|<style|https?:\/\/(?!127|lab)/);
    },
  );

  it('answers HEAD as GET, without the page', async () => {
    const response = await browse(server, '/', { method: 'HEAD' });
    expect(response.status).toBe(200);
    expect(response.body).toHaveLength(0);
  });

  it('refuses other methods', async () => {
    const response = await browse(server, '/check', { method: 'DELETE' });
    expect(response.status).toBe(405);
    expect(headerOf(response, 'Allow')).toBe('GET, HEAD');
  });

  it('keeps its style, script and icon for long, by names that change with them', async () => {
    const html = htmlOf(await browse(server, `/release/${KEY}`));
    const files = [...html.matchAll(/(?:href|src)="\.\.\/(-\/[^"]+)"/g)].map(([, path]) => path ?? '');
    expect(new Set(files).size).toBe(3);
    for (const file of files) {
      const response = await ask(server, `/${file}`);
      expect(response.status).toBe(200);
      expect(headerOf(response, 'Cache-Control')).toBe('public, max-age=31536000, immutable');
      expect(headerOf(response, 'Content-Type')).toMatch(/^(?:text\/(?:css|javascript); |image\/svg)/);
    }
    const old = await ask(server, '/-/style.000000000000.css');
    expect(old.status).toBe(404);
    expect(headerOf(old, 'Cache-Control')).toBe('no-store');
  });

  it('shows the cache, its addresses, numbers and releases at /', async () => {
    const text = textOf(await browse(server, '/'));
    expect(text).toContain(`${server.url}/bcache/<sha512>`);
    expect(text).toContain('Releases 3 Sources 1 Blobs 4');
    expect(text).toContain('Room left 64.0 GiB');
    expect(text).toContain(`download-binary-cache-url = ${server.url}/bcache`);
    expect(text).toMatch(/rapid-cdn 1\.0\.344 https:\S+ .*ubuntu 22\.04 x86_64-linux-gnu 5 B \d{4}-/);
    expect(text).toContain('signed by signer.example');
    expect(text).toContain('untrusted');
    expect(text).toContain('blob missing');
  });

  it.each([
    ['a name', 'kvm', ['kvm']],
    ['a version', '1.0.344', ['rapid-cdn']],
    ['a URL', RAPID_CDN, ['rapid-cdn']],
    ['a key', KEY, ['rapid-cdn']],
    ['the sha512 of a blob', digestOf('kvm'), ['kvm']],
    ['several words', 'SOFTWARE 1.0.3 kvm', ['kvm']],
    ['what is nowhere', 'nowhere', []],
  ])('finds %s', async (_what, q, names) => {
    const response = await browse(server, `/?${new URLSearchParams({ q }).toString()}`);
    const found = [...htmlOf(response).matchAll(/class="name"[^>]*><bdi>([^<]*)/g)].map(([, name]) => name);
    expect(found).toEqual(names);
  });

  it('sorts, and says by what and which way', async () => {
    const namesOf = async (query: string) => {
      const html = htmlOf(await browse(server, `/?${query}`));
      return [...html.matchAll(/class="name"[^>]*><bdi>([^<]*)/g)].map(([, name]) => name);
    };
    expect(await namesOf('')).toEqual(['gone', 'kvm', 'rapid-cdn']);
    expect(await namesOf('order=desc')).toEqual(['rapid-cdn', 'kvm', 'gone']);
    expect((await namesOf('sort=size&order=desc'))[0]).toBe('rapid-cdn');
    expect(htmlOf(await browse(server, '/?sort=size&order=desc'))).toMatch(/aria-sort="descending"/);
  });

  it('filters by a platform, as its links do', async () => {
    const html = htmlOf(await browse(server, '/'));
    const [, link = ''] = /href="\.\/(\?os=debian[^"]*)"/.exec(html) ?? [];
    const filtered = textOf(await browse(server, `/${link.replaceAll('&amp;', '&')}`));
    expect(filtered).toContain('rapid-cdn');
    expect(filtered).not.toContain('kvm');
    expect(filtered).toContain('1 release');
  });

  it.each(['cursor=nonsense', 'os=nonsense', 'multiarch=amd64', 'q=a+b+c+d+e+f+g+h+i'])(
    'shows the whole list, and what is wrong, for a wrong link: %s',
    async (query) => {
      const response = await browse(server, `/?${query}`);
      expect(response.status).toBe(200);
      expect(textOf(response)).toContain('the link to it is wrong');
      expect(textOf(response)).toContain('3 releases');
    },
  );

  it('gives the script the results alone', async () => {
    const response = await browse(server, '/?q=kvm&part=results');
    expect(htmlOf(response)).toMatch(/^<div data-count="1 release">/);
    expect(htmlOf(response)).not.toContain('<html');
  });

  it('shows sources at /sources', async () => {
    const text = textOf(await browse(server, '/sources'));
    expect(text).toContain('pypi:egg=1 egg-1.tar.gz 3 B');
    expect(textOf(await browse(server, '/sources?q=nowhere'))).toContain('no sources');
  });

  it('shows each entry of a release, and why one does not count', async () => {
    const response = await browse(server, `/release/${KEY}`);
    const text = textOf(response);
    expect(text).toContain(RAPID_CDN);
    expect(text).toContain(`slapos supply ${RAPID_CDN} COMPUTER`);
    expect(text).toContain(digestOf('jammy'));
    expect(text).toMatch(/verified by signer\.example SHA-256 (?:[0-9A-F]{2}:){31}/);
    expect(text).toContain('not verified: no trusted certificate verifies the signature');
    expect(text).toMatch(/debian 12\.4 x86_64-linux-gnu none – ⚠ compile: no trusted entry/);
    expect(text).toMatch(/ubuntu 22\.04 x86_64-linux-gnu entry 2 5 B ✔ install it/);
    expect(htmlOf(response)).toContain(`href="../bcache/${digestOf('jammy')}"`);
  });

  it('shows a source under its key, percent-encoded or not', async () => {
    for (const key of ['pypi:egg=1', 'pypi%3Aegg%3D1'])
      expect(textOf(await browse(server, `/release/${key}`))).toContain('egg-1.tar.gz');
  });

  it.each(['0'.repeat(32), 'no%20key', '..%2f..', '', 'x/y'])('has no page for the key "%s"', async (key) => {
    expect((await browse(server, `/release/${key}`)).status).toBe(404);
  });

  it('answers whether a node can install a release, as cache check does', async () => {
    const check = (url: string, os = 'ubuntu-22.04', multiarch = '') =>
      browse(server, `/check?${new URLSearchParams({ url, os, multiarch }).toString()}`);
    expect(textOf(await check(RAPID_CDN))).toContain(
      '✔ Yes: a node of ubuntu 22.04 x86_64-linux-gnu installs it',
    );
    expect(textOf(await check('rapid-cdn@1.0.344'))).toContain('✔ Yes');
    expect(textOf(await check(RAPID_CDN, 'debian-12'))).toContain(
      'no trusted certificate verifies its signature',
    );
    expect(textOf(await check(RAPID_CDN, 'fedora-40'))).toContain(
      'there is no build for fedora 40 x86_64-redhat-linux',
    );
    const other = textOf(await check(urlOf('1.0.345', 'rapid-cdn')));
    expect(other).toContain('✖ No: there is no entry for it');
    expect(other).toContain(`Did you mean ${RAPID_CDN}`);
    expect(other).toContain(
      `cache check --os ubuntu,22.04,jammy --multiarch x86_64-linux-gnu ${urlOf('1.0.345', 'rapid-cdn')}`,
    );
    const wrong = await check(RAPID_CDN, 'nonsense');
    expect(wrong.status).toBe(400);
    expect(textOf(wrong)).toContain('not an operating system');
  });
});

it('has pages of a long list, one after the other', async () => {
  const server = await start();
  for (let number = 0; number < 60; number++)
    await addRelease(server, signer, { url: urlOf(`1.0.${100 + number}`, 'kvm'), content: `${number}` });
  const first = htmlOf(await browse(server, '/'));
  const [, next = ''] = /href="\.\/(\?cursor=[^"]+)"/.exec(first) ?? [];
  const second = textOf(await browse(server, `/${next}`));
  expect(second).toContain('60 releases');
  expect(second).toContain('First page');
  expect(second).toContain('1.0.159');
  expect(second).not.toContain('1.0.149');
});

it('says that numbers grow while the store is read, and why there is no list', async () => {
  const catalogOf = (state: Pick<CatalogState, 'isComplete' | 'fault'>): Catalog => ({
    state: { releases: 0, sources: 0, entries: 0, blobs: 0, size: 0, version: '', ...state },
    releases: () => ({ items: [], total: 0, cursor: undefined }),
    sources: () => ({ items: [], total: 0, cursor: undefined }),
    release: () => undefined,
  });
  const reading = await start({ parts: { catalog: catalogOf({ isComplete: false, fault: undefined }) } });
  expect(textOf(await browse(reading, '/'))).toContain('The store is still being read');
  const without = await start({ parts: { catalog: catalogOf({ isComplete: false, fault: 'too large' }) } });
  expect(textOf(await browse(without, '/'))).toContain('There is no list of releases: too large');
});

it('says what to type where nothing is', async () => {
  const text = textOf(await browse(await start(), '/'));
  expect(text).toContain('This cache has no release yet');
  expect(text).toContain('cache import /mnt/device');
});

it('marks the entry that supersedes another', async () => {
  const server = await start();
  await addRelease(server, signer, { content: 'old' });
  await addRelease(server, signer, { content: 'new' });
  expect(textOf(await browse(server, `/release/${KEY}`))).toMatch(/Entry 2 .* nodes superseded by entry 1/);
});

it('lists other versions of a release', async () => {
  const server = await start();
  await addRelease(server, signer, { content: 'a' });
  await addRelease(server, signer, { url: urlOf('1.0.349', 'rapid-cdn'), content: 'b' });
  expect(textOf(await browse(server, `/release/${KEY}`))).toContain('Other versions rapid-cdn 1.0.349');
});

describe('texts from outside', () => {
  it('are text, whatever they contain', async () => {
    const evil = await createTestSigner('<script>alert(1)</script>\u202egnp');
    const server = await start({ signers: [evil] });
    const url = 'https://h/<script>alert("x")</script>/\u202efdp.exe\u200f/software.cfg';
    await addRelease(server, evil, { url, content: 'x', os: ['<img src=x>', '\u202e1"\'', '\u0007'] });
    for (const target of [
      '/',
      `/release/${keyOfSoftwareUrl(url)}`,
      `/check?${new URLSearchParams({ url, os: '<b>,"1",\'x' }).toString()}`,
      `/?${new URLSearchParams({ q: '"><script>alert(2)</script>' }).toString()}`,
      '/<script>alert(3)</script>',
    ]) {
      const html = htmlOf(await browse(server, target));
      expect(html.replace(/<script src="[^"]*" defer(?:="")?><\/script>/, '')).not.toMatch(
        /<script|<img src=x|<b>/,
      );
      // Fields of a form have what was typed; its direction ends with the field.
      const shown = html.replaceAll(/ value="[^"]*"/g, '').replaceAll('\n', '');
      // eslint-disable-next-line no-control-regex -- they are what is looked for
      expect(shown).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u200f\u202e]/);
    }
    expect(textOf(await browse(server, '/'))).toContain('\\u202efdp.exe\\u200f');
  });

  it('give a shell no command: those to copy are quoted, without controls', async () => {
    const server = await start();
    const url = "https://h/$(reboot)'\n;reboot/software.cfg";
    await addRelease(server, signer, { url, content: 'x' });
    const text = textOf(await browse(server, `/release/${keyOfSoftwareUrl(url)}`));
    expect(text).toContain("slapos supply 'https://h/$(reboot)'\\''\\u000a;reboot/software.cfg' COMPUTER");
  });
});

describe('other clients', () => {
  it('get the plain answers that they know', async () => {
    const server = await start();
    for (const target of ['/', '/nothing', `/bdir/${KEY}`, '/bcache/0']) {
      const response = await ask(server, target);
      expect(headerOf(response, 'Content-Type'), target).toMatch(/^text\/plain/);
      expect([400, 404]).toContain(response.status);
    }
    const curl = await ask(server, '/', { headers: { Accept: '*/*' } });
    expect(curl.status).toBe(200);
    expect(headerOf(curl, 'Content-Type')).toMatch(/^text\/plain/);
    expect(curl.body.toString()).toContain(`${server.url}/bcache/<sha512>`);
    expect((await ask(server, '/nothing', { headers: { Accept: '*/*' } })).status).toBe(404);
  });

  it('find the services at the roots of their host names, also browsers', async () => {
    const server = await start({
      parts: { hosts: { cache: ['cache.example'], directory: ['dir.example'] } },
    });
    const digest = await server.addBlob('content');
    const response = await browse(server, `/${digest}`, { headers: { Host: 'cache.example' } });
    expect(response.body.toString()).toBe('content');
    expect((await browse(server, '/check', { headers: { Host: 'dir.example' } })).status).toBe(404);
  });
});

describe('an error that a browser meets is a page', () => {
  it.each([
    ['/nothing', 404],
    ['/bcache/0', 400],
    [`/bdir/${KEY}`, 404],
    ['/a/b/c/d', 404],
  ])('%s: %i', async (target, status) => {
    const response = await browse(await start(), target);
    expect(response.status).toBe(status);
    expect(headerOf(response, 'Content-Type')).toBe('text/html; charset=UTF-8');
    expect(headerOf(response, 'Cache-Control')).toBe('no-store');
    const root = target.split('/').length === 2 ? './' : '../'.repeat(target.split('/').length - 2);
    expect(htmlOf(response)).toContain(`href="${root}-/style`);
  });

  it('without the reason of a fault of the server, but with the number of the request', async () => {
    const failing = () => Promise.reject(new CacheError('storage', '/srv/secret is gone'));
    const server = await start();
    const broken = await start({
      parts: { nodeSection: failing },
    });
    const response = await browse(broken, '/');
    expect(response.status).toBe(500);
    expect(textOf(response)).toMatch(/The cache failed .*\(request [\w-]+\)/);
    expect(textOf(response)).not.toContain('secret');
    expect(server.failures).toEqual([]);
    expect(broken.failures).toHaveLength(1);
  });
});

describe('access', () => {
  const ROLES: readonly Role[] = ['read', 'upload', 'admin'];
  const withUsers = (anonymous: Role | undefined): AccessControl => ({
    anonymous,
    withPassword: (name, password) => {
      const role = ROLES.find((known) => known === name);
      return Promise.resolve(password === 'secret' ? { name, role } : undefined);
    },
  });
  const as = (name: string) => ({
    Authorization: `Basic ${Buffer.from(`${name}:secret`).toString('base64')}`,
  });
  const LOG_LINK = /<a href="\.\/log"/;

  it('is asked for on every page if nobody may read without it', async () => {
    const server = await start({ parts: { access: withUsers(undefined) } });
    await addRelease(server, signer, { content: 'x' });
    for (const target of ['/', '/sources', '/check', `/release/${KEY}`, '/log', '/?part=results']) {
      const response = await browse(server, target);
      expect(response.status, target).toBe(401);
      expect(headerOf(response, 'WWW-Authenticate')).toMatch(/^Basic/);
      expect(textOf(response)).toContain('enter a user name and a password');
      expect(htmlOf(response)).not.toContain('rapid-cdn');
    }
    expect(textOf(await browse(server, '/', { headers: as('read') }))).toContain('rapid-cdn');
  });

  it('shows the log to admins alone, and no link to it to other users', async () => {
    const server = await start({ isLogPublic: true, parts: { access: withUsers('read') } });
    await server.store.log.record({ action: 'import', softwareUrl: RAPID_CDN, key: KEY, source: '/mnt/x' });
    expect((await browse(server, '/log')).status).toBe(401);
    expect((await browse(server, '/log', { headers: as('upload') })).status).toBe(403);
    const text = textOf(await browse(server, '/log', { headers: as('admin') }));
    expect(text).toContain(`shacache@master import ${RAPID_CDN} from /mnt/x`);
    expect(htmlOf(await browse(server, '/', { headers: as('upload') }))).not.toMatch(LOG_LINK);
    expect(htmlOf(await browse(server, '/', { headers: as('admin') }))).toMatch(LOG_LINK);
    expect(htmlOf(await browse(server, '/'))).toMatch(LOG_LINK);
  });

  it('shows the log to nobody without users, unless public-log is true', async () => {
    const closed = await start();
    const response = await browse(closed, '/log');
    expect(response.status).toBe(403);
    expect(textOf(response)).toContain('public-log = true');
    expect(htmlOf(await browse(closed, '/'))).not.toMatch(LOG_LINK);
    const open = await start({ isLogPublic: true });
    expect((await browse(open, '/log')).status).toBe(200);
    expect(htmlOf(await browse(open, '/'))).toMatch(LOG_LINK);
  });
});

it('shows a long log in pages, newest first, and names a damaged record', async () => {
  const server = await start({ isLogPublic: true });
  for (let number = 0; number < 105; number++)
    await server.store.log.record({ action: 'upload', softwareUrl: `https://h/${number}/software.cfg` });
  const first = htmlOf(await browse(server, '/log'));
  expect(first).toContain('104');
  const [, next = ''] = /href="\.\/(log\?before=[^"]+)"/.exec(first) ?? [];
  const [newest = ''] = (await server.store.log.list()).slice(0, 1);
  const writer = await server.storage.create();
  await writer.write([Buffer.from('{}\n')]);
  await writer.commit(newest);
  const last = textOf(await browse(server, `/${next}`));
  expect(last).toContain('https://h/4/software.cfg');
  expect(last).not.toContain('https://h/5/software.cfg');
  expect(last).toContain('is not what was written');
  expect(last).toContain('Newest');
});
