import { readFileSync } from 'node:fs';
import axe from 'axe-core';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { digestOf } from '../../src/cache/digest.ts';
import { keyOfSoftwareUrl, parseKey } from '../../src/cache/key.ts';
import type { Signer } from '../../src/cache/signature.ts';
import { startPageServer, type PageServer } from '../fixtures/page-server.ts';
import { lacks } from '../http/outside-programs.ts';
import { createTestSigner } from '../http/test-signer.ts';
import { addBlob, addRelease, BOOKWORM, JAMMY } from '../operations/test-store.ts';
import { CHROMIUM, openPage, overflowOf, startChromium, type WatchedPage } from './chromium.ts';

const urlOf = (version: string, name: string) =>
  `https://lab.nexedi.com/nexedi/slapos/raw/${version}/software/${name}/software.cfg`;
const CDN = urlOf('1.0.344', 'rapid-cdn');
const PHONE: BrowserContextOptions = { viewport: { width: 390, height: 844 }, hasTouch: true };

describe.skipIf(lacks(CHROMIUM))('in Chromium', () => {
  let browser: Browser;
  let server: PageServer;
  let signer: Signer;

  beforeAll(async () => {
    [browser, signer] = await Promise.all([startChromium(), createTestSigner('shacache-site-2026')]);
    server = await startPageServer({
      signers: [signer],
      isLogPublic: true,
      parts: { lastScrub: () => ({ finished: '2026-11-26T03:12:00.000Z', findings: 0 }) },
    });
    const stranger = await createTestSigner('stranger');
    await addRelease(server, signer, { url: CDN, content: 'x'.repeat(9000), os: JAMMY });
    await addRelease(server, stranger, { url: CDN, content: 'y'.repeat(8000), os: BOOKWORM });
    await addRelease(server, signer, { url: urlOf('1.0.349', 'rapid-cdn'), content: 'z', os: JAMMY });
    await addRelease(server, signer, {
      url: urlOf('1.0.344', 'kvm'),
      content: 'k'.repeat(70_000),
      os: JAMMY,
    });
    const gone = await addRelease(server, signer, { url: urlOf('1.0.350', 'repman'), content: 'gone' });
    await server.blobs.remove(gone.sha512);
    await addBlob(server.blobs, 'egg');
    const egg = { sha512: digestOf('egg'), basename: 'slapos.core-1.24.tar.gz' };
    await server.directory.add(parseKey('pypi:slapos.core=1.24'), signer.sign(JSON.stringify(egg)));
    await server.store.log.record({
      action: 'import',
      key: keyOfSoftwareUrl(CDN),
      softwareUrl: CDN,
      size: 9000,
    });
  });

  afterAll(async () => {
    await browser.close();
    await server.stop();
  });

  async function open(
    target: string,
    options: BrowserContextOptions = {},
    of: PageServer = server,
  ): Promise<WatchedPage> {
    const watched = await openPage(browser, options);
    await watched.page.goto(of.url + target);
    return watched;
  }

  const namesIn = async (page: Page): Promise<readonly string[]> => {
    await page.waitForLoadState();
    return page.locator('.name').allInnerTexts();
  };

  it('searches while a person types, and keeps the search in the address', async () => {
    const { page } = await open('/');
    await page.keyboard.press('/');
    await page.keyboard.type('kvm');
    await expect.poll(() => namesIn(page)).toEqual(['kvm']);
    expect(await page.locator('#count').innerText()).toBe('1 release');
    await expect.poll(() => page.url()).toBe(`${server.url}/?q=kvm`);
    await page.locator('#q').fill('nowhere');
    await expect.poll(() => page.locator('#results').innerText()).toContain('Nothing matches');
    await page.locator('#q').fill('');
    await expect.poll(() => page.locator('.name').count()).toBe(4);
  });

  it('shows the error if a search fails', async () => {
    const { page, faults } = await open('/');
    await page.route('**/*part=results', (route) => route.abort());
    await page.locator('#q').fill('kvm');
    await expect.poll(() => page.url()).toBe(`${server.url}/?q=kvm`);
    expect(await namesIn(page)).toEqual(['kvm']);
    expect(faults).toEqual([]);
  });

  it('sorts by a click on a head', async () => {
    const { page } = await open('/');
    await page.getByRole('link', { name: 'Size' }).click();
    expect((await namesIn(page))[0]).toBe('kvm');
    expect(await page.locator('th[aria-sort]').getAttribute('aria-sort')).toBe('descending');
    await page.getByRole('link', { name: 'Size' }).click();
    expect((await namesIn(page)).at(-1)).toBe('kvm');
  });

  it.each([
    ['by the clipboard, which localhost and HTTPS have', false],
    ['by the selection, where there is no clipboard', true],
  ])('copies commands %s', async (_how, isPlain) => {
    const context = isPlain ? {} : { permissions: ['clipboard-read', 'clipboard-write'] };
    const { page } = await open('/', context);
    if (isPlain) {
      await page.evaluate(`
        Object.defineProperty(navigator, 'clipboard', { value: undefined });
        document.addEventListener('copy', () => { window.copied = String(getSelection()); });
      `);
    }
    await page.getByRole('button', { name: 'Copy the section for slapos.cfg' }).click();
    await expect.poll(() => page.locator('.copy').first().innerText()).toBe('Copied');
    const copied = await page.evaluate(isPlain ? 'window.copied' : 'navigator.clipboard.readText()');
    expect(copied).toContain(`[networkcache]\ndownload-binary-cache-url = ${server.url}/bcache`);
    expect(await page.locator('#announcement').innerText()).toBe('Copied');
  });

  it('leads from a release in the list to its page, and to the download', async () => {
    const { page, takePicture } = await open('/');
    await takePicture('releases');
    await page.getByRole('link', { name: 'rapid-cdn' }).first().click();
    expect(await page.locator('h1').innerText()).toBe('rapid-cdn 1.0.344');
    await takePicture('release');
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('link', { name: 'Download' }).last().click(),
    ]);
    expect(download.suggestedFilename()).toBe('rapid-cdn-ubuntu-22.04.tar.gz');
    expect(readFileSync(await download.path(), 'utf8')).toBe('x'.repeat(9000));
  });

  it('checks whether a node can install a release, and leads to a similar URL', async () => {
    const { page, takePicture } = await open('/check');
    await page.getByLabel('Software URL').fill(urlOf('1.0.345', 'kvm'));
    await page.getByLabel('System of the node').fill('ubuntu-22.04');
    await page.getByRole('button', { name: 'Check', exact: true }).click();
    expect(await page.locator('.verdict').innerText()).toContain('No: there is no entry');
    await takePicture('check-no');
    await page.getByRole('link', { name: urlOf('1.0.344', 'kvm') }).click();
    expect(await page.locator('.verdict').innerText()).toContain('Yes');
    await takePicture('check-yes');
  });

  it('shows sources and the log', async () => {
    const { page, takePicture } = await open('/');
    await page.getByRole('link', { name: 'Sources' }).click();
    expect(await page.locator('#results').innerText()).toContain('pypi:slapos.core=1.24');
    await takePicture('sources');
    await page.getByRole('link', { name: 'Log', exact: true }).click();
    expect(await page.locator('main').innerText()).toMatch(/import[^]*rapid-cdn/);
    await takePicture('log');
  });

  it('shows errors with the same style, and a way back', async () => {
    const { page, takePicture } = await open('/a/b/nothing');
    expect(await page.locator('h1').innerText()).toBe('Not found');
    await takePicture('not-found');
    await page.getByRole('link', { name: 'Releases in this cache' }).click();
    expect(page.url()).toBe(`${server.url}/`);
  });

  it('works without JavaScript: search, sort, release', async () => {
    const { page } = await open('/', { javaScriptEnabled: false });
    expect(await page.locator('.copy').count()).toBe(0);
    await page.getByLabel('Name, version').fill('rapid-cdn');
    await page.getByRole('button', { name: 'Search' }).click();
    expect(await namesIn(page)).toEqual(['rapid-cdn', 'rapid-cdn']);
    await page.getByRole('link', { name: 'Received' }).click();
    expect(page.url()).toContain('q=rapid-cdn');
    expect(page.url()).toContain('sort=received');
    await page.locator('.name').first().click();
    expect(await page.locator('h1').innerText()).toContain('rapid-cdn');
  });

  const PAGES = ['/', '/sources', `/release/${keyOfSoftwareUrl(CDN)}`, '/log', '/nothing'].concat(
    `/check?${new URLSearchParams({ url: urlOf('1.0.345', 'kvm'), os: 'debian-12' }).toString()}`,
  );

  describe.each([
    ['light', {}],
    ['dark', { colorScheme: 'dark' }],
    ['phone', PHONE],
    ['phone-dark', { ...PHONE, colorScheme: 'dark' }],
  ] satisfies readonly (readonly [string, BrowserContextOptions])[])('%s', (name, options) => {
    it.each(PAGES)('fits the window, and axe finds nothing serious: %s', async (target) => {
      const { page, takePicture } = await open(target, options);
      expect(await overflowOf(page)).toBe(0);
      // The policy forbids scripts of others, so it comes through the debugger.
      await page.evaluate(axe.source);
      const { violations } = await page.evaluate<AxeResult>('axe.run()');
      const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical');
      expect(serious.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html).join(' ')}`)).toEqual([]);
      if (target === '/') await takePicture(name);
    });
  });

  it('is used by keyboard alone: the first stop skips to the content, and every stop shows', async () => {
    const { page } = await open('/');
    await page.keyboard.press('Tab');
    expect(await page.locator(':focus').innerText()).toBe('Skip to the content');
    expect(await page.locator(':focus').isVisible()).toBe(true);
    await page.keyboard.press('Enter');
    await page.keyboard.press('Tab');
    expect(await page.locator(':focus').getAttribute('id')).toBe('q');
    expect(await page.evaluate('getComputedStyle(document.activeElement).outlineStyle')).toBe('solid');
  });

  it('asks for a user name and a password as the rest does', async () => {
    const guarded = await startPageServer({
      signers: [signer],
      parts: {
        access: {
          anonymous: undefined,
          withPassword: (name, password) =>
            Promise.resolve(
              password === 'secret' ? { name, role: name === 'carol' ? 'admin' : 'read' } : undefined,
            ),
        },
      },
    });
    onTestFinished(async () => {
      await guarded.stop();
    });
    await addRelease(guarded, signer, { url: CDN, content: 'x' });
    const credentials = (username: string) => ({ httpCredentials: { username, password: 'secret' } });
    const admin = await open('/', credentials('carol'), guarded);
    expect(await namesIn(admin.page)).toEqual(['rapid-cdn']);
    // The script's requests have the credentials, too.
    await admin.page.locator('#q').fill('nowhere');
    await expect.poll(() => admin.page.locator('#results').innerText()).toContain('Nothing matches');
    await admin.page.getByRole('link', { name: 'Log', exact: true }).click();
    expect(await admin.page.locator('h1').innerText()).toBe('Log');
    const reader = await open('/', credentials('alice'), guarded);
    expect(await reader.page.getByRole('link', { name: 'Log', exact: true }).count()).toBe(0);
    await reader.page.goto(`${guarded.url}/log`);
    expect(await reader.page.locator('h1').innerText()).toBe('Not allowed');
  });

  describe('with hostile texts', () => {
    const LONG = 'x'.repeat(4096);
    const URLS = [
      'https://h/<script>alert("url")</script>/\u202efdp.exe\u200f\u2066/software.cfg',
      `https://h/raw/1.0/software/${LONG}/software.cfg`,
      `https://h/raw/1.0/software/${'שלום '.repeat(800)}/software.cfg`,
      `https://h/raw/1.0/software/${'e\u0301\u0302\u0303\u0304\u0305'.repeat(300)}/software.cfg`,
      "javascript:alert('url')",
    ];
    let hostile: PageServer;

    beforeAll(async () => {
      const evil = await createTestSigner('<img src=x onerror=alert(1)>\u202egnp.evil');
      hostile = await startPageServer({ signers: [evil], isLogPublic: true });
      for (const url of URLS) {
        await addRelease(hostile, evil, {
          ...{ url, content: url.slice(0, 100) },
          os: [`<svg onload=alert(2)>${LONG.slice(0, 900)}`, '\u202e"12\'', 'x'],
          more: { file: `</title><script>alert("file")</script>${LONG}`, creation_date: '<b>now</b>\u0000' },
        });
        const about = { action: 'upload', key: keyOfSoftwareUrl(url), softwareUrl: url } as const;
        await hostile.store.log.record(about, { user: '<script>alert(3)</script>', remote: '::1' });
      }
    });

    afterAll(() => hostile.stop());

    const TARGETS = [
      ...[
        '/',
        '/log',
        `/?q=${encodeURIComponent('"><script>alert(4)</script>')}`,
        `/${LONG}<script>alert(5)</script>`,
      ],
      ...URLS.map((url) => `/release/${keyOfSoftwareUrl(url)}`),
      ...URLS.slice(0, 2).map(
        (url) => `/check?${new URLSearchParams({ url, os: '<b>,\u202e1,x' }).toString()}`,
      ),
    ];

    it.each(TARGETS.map((target) => [target.slice(0, 60), target]))(
      'shows them as text, within the window: %s',
      async (_short, target) => {
        for (const options of [{}, PHONE]) {
          const { page } = await open(target, options, hostile);
          expect(await overflowOf(page)).toBe(0);
          expect(await page.locator('main script, main img, main svg, main b:not(.escape)').count()).toBe(0);
          expect(await page.locator('a[href^="javascript:"]').count()).toBe(0);
        }
      },
    );

    it('shows marks of direction and other hidden characters', async () => {
      const { page, takePicture } = await open('/', {}, hostile);
      expect(await page.locator('main').innerText()).toContain('\\u202efdp.exe\\u200f\\u2066');
      await takePicture('hostile');
    });
  });
});

interface AxeResult {
  readonly violations: readonly {
    readonly id: string;
    readonly impact: string;
    readonly nodes: readonly { readonly html: string }[];
  }[];
}
