import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { keyOfSoftwareUrl } from '../../src/cache/key.ts';
import type { Signer } from '../../src/cache/signature.ts';
import { RAPID_CDN } from '../fixtures/entries.ts';
import { makeSoftwareRelease, packRelease } from '../fixtures/software-release.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { ServeProcess } from '../http/serve-process.ts';
import { createTestSigner } from '../http/test-signer.ts';
import { upload } from '../http/upload-client.ts';
import { addRelease, makeStore, signRelease } from '../operations/test-store.ts';
import { runCache } from './command.ts';

const KEY = keyOfSoftwareUrl(RAPID_CDN);
const OS = ['--os', 'ubuntu-22.04', '--multiarch', 'x86_64-linux-gnu'];

let upstream: Signer;

beforeAll(async () => {
  upstream = await createTestSigner('upstream');
});

/** An upstream that need not be there: what counts is whose signatures it brings. */
function upstreamSection(): string {
  const pem = upstream.certificate.trim().replaceAll('\n', '\n  ');
  return `[upstream]\ndownload-binary-cache-url = http://127.0.0.1:9\ndownload-binary-dir-url = http://127.0.0.1:9\nsignature-certificate-list =\n  ${pem}\n`;
}

describe('the certificates of [upstream]', () => {
  it('count for lookups, and allow nobody to upload', async () => {
    const folder = await temporaryFolder();
    const serve = await ServeProcess.start({
      folder,
      config: `[access]\nanonymous = upload\n${upstreamSection()}`,
      prepare: async (root) => addRelease(await makeStore(root), upstream, { content: 'one' }),
    });
    const lookup = await runCache(folder, 'lookup', RAPID_CDN, ...OS);
    expect(lookup.stdout).toMatch(/^1 +x86_64-linux-gnu .* yes +yes +3 B/m);
    const place = { host: '127.0.0.1', port: await serve.port() };
    expect((await upload(place, 'two')).status).toBe(201);
    const entry = JSON.stringify(signRelease(upstream, { content: 'two' }).pair);
    const response = await upload(place, entry, { method: 'PUT', target: `/bdir/${KEY}` });
    expect(response.status).toBe(403);
    expect(response.body.toString()).toMatch(/no trusted certificate verifies/);
  });

  it('do not keep an archive that is imported from being signed by the site', async () => {
    const folder = await temporaryFolder();
    await writeFile(join(folder, 'config.ini'), `[store]\npath = store\n${upstreamSection()}`);
    await runCache(folder, 'keygen');
    const archive = join(folder, 'rapid-cdn-1.0.344-ubuntu-22.04.tar.gz');
    await packRelease(await makeSoftwareRelease(join(folder, 'root'), RAPID_CDN), archive);
    const store = await makeStore(join(folder, 'store'));
    await addRelease(store, upstream, { content: await readFile(archive) });
    const { stdout } = await runCache(folder, 'import', archive);
    expect(stdout).toMatch(/imported +ubuntu 22\.04/);
    expect(await store.directory.entries(KEY)).toHaveLength(2);
    expect((await runCache(folder, 'import', archive)).stdout).toMatch(/unchanged +ubuntu/);
  });
});

describe('a server from which the signing key was moved away', () => {
  it('gets no key from init, trusts whom it names, and makes an inventory', async () => {
    const folder = await temporaryFolder();
    await runCache(folder, 'init', 'other', '--common-name', 'Other');
    await runCache(folder, 'init', 'site', '--common-name', 'Moved');
    await rm(join(folder, 'site/miscellaneous/sign.key'));
    const init = await runCache(folder, 'init', 'site', '--trust', 'other/miscellaneous/sign.crt');
    expect(init).toMatchObject({ code: 0 });
    expect(init.stdout).toMatch(/^changed {2}site\/config\.ini$/m);
    expect(init.stdout).not.toMatch(/sign\./);
    expect(init.stderr).toMatch(/^trusted: "Other" .*[^]*no signing key; none was made/m);
    const { code, stderr } = await runCache(folder, 'inventory', '-c', 'site/config.ini');
    expect([code, stderr]).toEqual([0, 'note: this site has no signing key: the inventory is not signed\n']);
  });
});
