import type { ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { resultOf, runCache, startCache, type CommandResult } from '../cli/command.ts';
import { makeSoftwareRelease, packRelease } from '../fixtures/software-release.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { createRandom } from './random.ts';
import { makeUnpluggedDisk, type UnpluggedDisk } from './unplugged-disk.ts';

/** Of six rounds the first three are exports, the others imports. */
const ROUNDS = process.env['SHACACHE_HEAVY'] ? Array.from({ length: 50 }, (_, round) => round) : [0, 4];
const SEED = Number(process.env['SHACACHE_SEED'] ?? Date.now() % 1_000_000);
const URLS = ['kvm', 'rapid-cdn', 're6stnet'].map(
  (name) => `https://lab.nexedi.com/nexedi/slapos/raw/1.0.344/software/${name}/software.cfg`,
);
const MIB = 1024 * 1024;

/** How an export or an import ends before its time. */
type Accident = 'the disk is pulled out' | 'the command is killed' | 'the mount is taken away';
const ACCIDENTS: readonly Accident[] = [
  'the disk is pulled out',
  'the command is killed',
  'the mount is taken away',
];

it(
  `${ROUNDS.length} accidents with a medium, while it is written or read: the next run completes, and nothing wrong is ever served`,
  { timeout: 120_000 + ROUNDS.length * 30_000 },
  async (context) => {
    process.stderr.write(`unplug: SHACACHE_SEED=${SEED}\n`);
    const random = createRandom(SEED);
    const folder = await temporaryFolder();
    const device = join(folder, 'device');
    const disk = await makeUnpluggedDisk(context, join(folder, 'disk.img'), device, 160 * MIB);
    const connected = await makeConnectedSite(folder);

    // How long either takes here when nothing happens.
    await disk.plug();
    let exporting = await timed(() => runCache(connected, 'export', device));
    await disk.unmount();
    await disk.plug({ readOnly: true });
    let importing = await timed(async () =>
      runCache(await makeOfflineSite(folder, connected, 'timed'), 'import', device),
    );
    await disk.unmount();

    const seen = { broken: 0, done: 0 };
    for (const round of ROUNDS) {
      const accident = ACCIDENTS[round % 3] ?? 'the command is killed';
      const offline = await makeOfflineSite(folder, connected, `offline-${round}`);
      const server = startCache(offline, ['serve', '--listen', '127.0.0.1:0']);
      const base = await urlOf(server);
      let result: CommandResult;
      if (round % 6 < 3) {
        await disk.format();
        await disk.plug();
        result = await breakOff(connected, ['export', device], exporting * random(), accident, disk);
        if (accident === 'the command is killed') await disk.unmount();
        await disk.plug({ readOnly: true });
        // Whatever was left there is taken as a whole, or not at all.
        const early = await runCache(offline, 'import', device);
        await expectServedRight(base, early.code === 0 ? URLS.length : 0, `${early.stdout}${early.stderr}`);
        await disk.unmount();
        await disk.plug();
        // Machines get faster: a moment is to come while there is something to break off.
        exporting = Math.min(exporting, await timed(() => runCache(connected, 'export', device)));
        await disk.unmount();
      } else {
        // The medium of the round before is complete.
        await disk.plug({ readOnly: true });
        result = await breakOff(offline, ['import', device], importing * random(), accident, disk);
        await expectServedRight(base, result.code === 0 ? URLS.length : undefined, result.stderr);
        if (accident === 'the command is killed') await disk.unmount();
      }
      seen[result.code === 0 ? 'done' : 'broken']++;
      await disk.plug({ readOnly: true });
      importing = Math.min(importing, await timed(() => runCache(offline, 'import', device)));
      await expectServedRight(base, URLS.length, 'after the last import');
      const verified = await runCache(offline, 'verify', '--deep');
      expect(verified.code, `${verified.stdout}${verified.stderr}`).toBe(0);
      await disk.unmount();
      server.kill();
      await once(server, 'exit');
      await rm(offline, { recursive: true });
    }
    process.stderr.write(`unplug: ${seen.broken} broken off, ${seen.done} done before the accident\n`);
    // Of a few rounds all may have been done before their accident.
    if (ROUNDS.length > 10) expect(seen.broken, `seed ${SEED}`).toBeGreaterThan(0);
  },
);

/** A site with three releases, some 30 MiB. */
async function makeConnectedSite(folder: string): Promise<string> {
  const site = join(folder, 'connected');
  const archives = join(folder, 'archives');
  await mkdir(archives);
  for (const [index, url] of URLS.entries()) {
    const release = await makeSoftwareRelease(join(folder, 'root'), url, { payload: (8 + index) * MIB });
    await packRelease(release, join(archives, `release-${index}-ubuntu-22.04.tar.gz`));
  }
  for (const args of [
    ['init', site],
    ['import', '-c', join(site, 'config.ini'), archives],
  ]) {
    const { code, stderr } = await runCache(folder, ...args);
    expect(code, stderr).toBe(0);
  }
  return site;
}

async function makeOfflineSite(folder: string, connected: string, name: string): Promise<string> {
  const site = join(folder, name);
  const certificate = join(connected, 'miscellaneous', 'sign.crt');
  const { code, stderr } = await runCache(folder, 'init', site, '--trust', certificate);
  expect(code, stderr).toBe(0);
  return site;
}

async function urlOf(server: ChildProcess): Promise<string> {
  let told = '';
  for await (const text of server.stdout?.iterator({ destroyOnReturn: false }) ?? []) {
    told += String(text);
    const [url] = /http:\/\/127\.0\.0\.1:\d+/.exec(told) ?? [];
    if (url === undefined) continue;
    // Nobody reads the log: the pipe would be full at last.
    server.stdout?.resume();
    server.stderr?.resume();
    return url;
  }
  throw new Error(`the server ended: ${told}`);
}

async function timed(run: () => Promise<CommandResult>): Promise<number> {
  const begin = performance.now();
  const { code, stderr } = await run();
  expect(code, stderr).toBe(0);
  return performance.now() - begin;
}

async function breakOff(
  cwd: string,
  args: readonly string[],
  milliseconds: number,
  accident: Accident,
  disk: UnpluggedDisk,
): Promise<CommandResult> {
  const child = startCache(cwd, args);
  const result = resultOf(child);
  const ended = once(child, 'exit');
  await Promise.race([sleep(milliseconds), ended]);
  if (accident === 'the disk is pulled out') await disk.pull();
  else if (accident === 'the mount is taken away') await disk.detach();
  else child.kill('SIGKILL');
  const { code, stdout, stderr } = await result;
  if (accident === 'the mount is taken away') {
    const beneath = await disk.beneath();
    // Nothing is written to the disk that the folder is on, unless the accident was over before the command looked.
    if (!stderr.includes('nothing is mounted')) expect(beneath, stderr).toEqual([]);
    for (const name of beneath) await rm(join(disk.folder, name), { recursive: true });
  }
  // A disk that is gone is an error like any other.
  expect(stderr).not.toContain('unexpected error');
  return { code, stdout, stderr };
}

/** Whatever the server lists, it has, and the bytes are those of their name. */
async function expectServedRight(base: string, releases: number | undefined, told: string): Promise<void> {
  const keys = (await (await fetch(`${base}/bdir/`)).text()).split('\n').filter((key) => key !== '');
  if (releases !== undefined) expect(keys, told).toHaveLength(releases);
  for (const key of keys) {
    const pairs = (await (await fetch(`${base}/bdir/${key}`)).json()) as [string, string][];
    expect(pairs.length).toBeGreaterThan(0);
    for (const [json] of pairs) {
      const { sha512 } = JSON.parse(json) as { sha512: string };
      const answer = await fetch(`${base}/bcache/${sha512}`);
      expect(answer.status, told).toBe(200);
      const bytes = Buffer.from(await answer.arrayBuffer());
      expect(createHash('sha512').update(bytes).digest('hex')).toBe(sha512);
    }
  }
}
