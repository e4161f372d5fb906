import { expect, it } from 'vitest';
import { createTestSigner } from '../http/test-signer.ts';
import { addRelease } from '../operations/test-store.ts';
import { runCache } from './command.ts';
import { makeSite, urlOf } from './upkeep-site.ts';

const BOOKWORM = ['debian', '12', ''] as const;

it('list has one row for a release and platform, with the signers if there are several', async () => {
  const upstream = await createTestSigner('upstream');
  const certificate = upstream.certificate.trim().replaceAll('\n', '\n  ');
  const site = await makeSite(`signature-certificate-list =\n  ${certificate}\n`);
  const cache = (...args: readonly string[]) => runCache(site.folder, ...args);

  const [url, received] = [urlOf(0), new Date('2026-11-20T21:34:00Z')];
  await addRelease(site, upstream, { url, content: 'old' }, received);
  await addRelease(site, site.signer, { url, content: 'newer' }, new Date(received.getTime() + 60_000));
  await addRelease(site, site.signer, { url, content: 'again' }, new Date(received.getTime() + 120_000));
  expect((await cache('list', '-q')).stdout.split('\n')).toEqual([
    'PLATFORM                       SIZE  RECEIVED              SIGNERS             URL',
    `ubuntu 22.04 x86_64-linux-gnu  5 B   2026-11-20 21:36 UTC  ShaCache, upstream  ${url}`,
    '',
  ]);
  expect(JSON.parse((await cache('list', '--json')).stdout)).toMatchObject([
    { builds: [{ signers: [{ name: 'ShaCache' }, { name: 'upstream' }] }] },
  ]);

  await addRelease(site, upstream, { url: urlOf(1), content: 'other', os: BOOKWORM }, received);
  expect((await cache('list', '-q')).stdout.split('\n').slice(1)).toEqual([
    `ubuntu 22.04 x86_64-linux-gnu  5 B   2026-11-20 21:36 UTC  ShaCache, upstream  ${url}`,
    `debian 12 x86_64-linux-gnu     5 B   2026-11-20 21:34 UTC  upstream            ${urlOf(1)}`,
    '',
  ]);
});
