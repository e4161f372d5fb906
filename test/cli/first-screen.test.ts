import { execFile, execFileSync } from 'node:child_process';
import { cp, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { lacks } from '../http/outside-programs.ts';
import { makeSoftwareRelease, packRelease } from '../fixtures/software-release.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';

const REPOSITORY = join(import.meta.dirname, '../..');
const URL_OF = (name: string): string =>
  `https://lab.nexedi.com/nexedi/slapos/raw/1.0.344/software/${name}/software.cfg`;

let clone: string;

/** A clone as `npm ci` leaves it. The store lands beside its package.json. */
beforeEach(async () => {
  clone = await temporaryFolder();
  await cp(join(REPOSITORY, 'package.json'), join(clone, 'package.json'));
  for (const name of ['bin', 'dist', 'node_modules'])
    await symlink(join(REPOSITORY, name), join(clone, name));
});

async function makeArchives(folder: string, ...names: readonly string[]): Promise<void> {
  await mkdir(folder);
  for (const name of names) {
    const release = await makeSoftwareRelease(join(clone, 'root', name), URL_OF(name));
    await packRelease(release, join(folder, `${name}-1.0.344-ubuntu-22.04.tar.gz`));
  }
}

/** Types a command on a terminal of 80×24; what stands on its screen once that shows `last`. */
async function screenAfter(command: string, last: RegExp): Promise<string> {
  const tmux = (...args: readonly string[]) =>
    promisify(execFile)('tmux', ['-S', join(clone, 'tmux'), '-f', '/dev/null', ...args]);
  const env = ['-e', 'TZ=UTC', '-e', 'SHACACHE_CONFIG='];
  await tmux(
    'new-session',
    '-d',
    ...['-x', '80', '-y', '24', '-c', clone],
    ...env,
    `${command}; echo "ended: $?"; sleep 600`,
  );
  const read = async (): Promise<string> => (await tmux('capture-pane', '-p')).stdout.trimEnd();
  const { stdout: pid } = await tmux('display-message', '-p', '#{pane_pid}');
  onTestFinished(async () => {
    // The server survives the loss of its terminal, but not this signal to the group of the shell.
    process.kill(-Number(pid), 'SIGTERM');
    await expect.poll(() => tmux('has-session').catch(() => 'ended'), { timeout: 50_000 }).toBe('ended');
  });
  await expect.poll(read, { timeout: 50_000 }).toMatch(last);
  return read();
}

describe.skipIf(lacks('tmux'))("README's first command on a terminal of 80×24 (needs tmux)", () => {
  it('shows what was imported, where it serves and what to do next', async () => {
    await makeArchives(join(clone, 'software'), 'kvm', 'rapid-cdn', 'erp5');
    const screen = await screenAfter('npm start -- software --listen 127.0.0.1:0', /docs\/security\.md/);
    for (const shown of [
      /^3 imported$/m,
      /^ {2}\S+raw\/1\.0\.344\/software\/erp5\/software\.cfg$/m,
      /^curl http:\/\/127\.0\.0\.1:\d+\/slapos\.cfg /m,
      new RegExp(`^cd ${clone} `, 'm'),
      /^node bin\/cache\.js check URL /m,
    ])
      expect(screen).toMatch(shown);
    expect(screen.replaceAll('\n', ' ')).toMatch(/Serving \S+\/cache-store on http:\/\/127\.0\.0\.1:\d+/);
  });

  it('shows a refused archive and its reason above the address', async () => {
    await makeArchives(join(clone, 'software'), 'kvm', 'erp5');
    await writeFile(join(clone, 'software/a-1.0-ubuntu-22.04.tar.gz'), 'cut off');
    const screen = await screenAfter('npm start -- software --listen 127.0.0.1:0', /docs\/security\.md/);
    expect(screen).toMatch(
      /erp5[^]*kvm[^]*REFUSED[^]*a-1\.0-ubuntu-22\.04\.tar\.gz: [^]*2 imported, 1 refused[^]*Serving /,
    );
  });

  it('with a folder without an archive ends with 1 and says so', async () => {
    await mkdir(join(clone, 'software'));
    const screen = await screenAfter('npm start -- software --listen 127.0.0.1:0', /ended: \d/);
    expect(screen.replaceAll('\n', ' ')).toMatch(
      /cache: nothing to serve: there is no archive and no medium in software,.*is the disk mounted\? ended: 1$/,
    );
  });

  it('with a disk that is not mounted says that the old store is served, on the last line', async () => {
    await makeArchives(join(clone, 'software'), 'kvm');
    await mkdir(join(clone, 'device'));
    execFileSync(process.execPath, [join(REPOSITORY, 'dist/cli/main.js'), 'import', 'software'], {
      cwd: clone,
      stdio: 'ignore',
    });
    const screen = await screenAfter('npm start -- device --listen 127.0.0.1:0', /before is served\.$/);
    expect(screen).not.toContain('no archives');
    expect(screen.replaceAll('\n', ' ')).toMatch(
      /cache: nothing was imported from device\. Only what was in the store \S+\/cache-store before is served\.$/,
    );
  });
});
