import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { mkdir } from 'node:fs/promises';
import { describe, expect, it } from 'vitest';
import { runCache } from '../cli/command.ts';
import { makeSoftwareRelease, packRelease } from '../fixtures/software-release.ts';
import { lacks } from '../http/outside-programs.ts';
import { ServeProcess } from '../http/serve-process.ts';

const KVM = 'https://lab.nexedi.com/nexedi/slapos/raw/1.0.344/software/kvm/software.cfg';

/** What curl gets, and the status. */
function curl(url: string): readonly [status: string, body: string] {
  const output = execFileSync('curl', ['-s', '-w', '\n%{http_code}', url], { encoding: 'utf8' });
  const end = output.lastIndexOf('\n');
  return [output.slice(end + 1), output.slice(0, end)];
}

describe.skipIf(lacks('curl'))('a server as it is shipped', () => {
  it('shows what a command imports, is ready, and has metrics', async () => {
    const serve = await ServeProcess.start();
    const base = `http://127.0.0.1:${await serve.port()}`;
    const folder = join(serve.root, '..');
    await expect.poll(() => curl(`${base}/ready`)[0]).toBe('200');
    const catalog = (): unknown => JSON.parse(curl(`${base}/v1/_catalog?q=kvm`)[1]);
    await expect.poll(catalog).toMatchObject({ complete: true, total: 0 });
    const archive = join(folder, 'archives', 'kvm-ubuntu-22.04.tar.gz');
    await mkdir(join(folder, 'archives'));
    await packRelease(await makeSoftwareRelease(join(folder, 'root'), KVM), archive);
    expect(await runCache(folder, 'keygen')).toMatchObject({ code: 0 });
    expect(await runCache(folder, 'import', archive)).toMatchObject({ code: 0 });
    await expect.poll(catalog).toMatchObject({ total: 1, releases: [{ url: KVM, builds: [{}] }] });
    expect(curl(`${base}/health`)[0]).toBe('200');
    const [status, text] = curl(`${base}/metrics`);
    expect(status).toBe('200');
    expect(text).toMatch(/^shacache_releases 1$/m);
    expect(text).toMatch(/^shacache_room_bytes \d+/m);
    serve.signal('SIGTERM');
    expect((await serve.exit).code).toBe(0);
  });
});
