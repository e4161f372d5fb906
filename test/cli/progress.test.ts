import { execFile } from 'node:child_process';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { makeSoftwareRelease, packRelease } from '../fixtures/software-release.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { CACHE, ENVIRONMENT, runCache } from './command.ts';

const KVM = 'https://lab.nexedi.com/nexedi/slapos/raw/1.0.344/software/kvm/software.cfg';

/** Runs a command on a terminal of 120 columns and prints all that came to it. */
const ON_TERMINAL = `
import fcntl, os, pty, struct, sys, termios
pid, terminal = pty.fork()
if pid == 0:
    fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack('HHHH', 40, 120, 0, 0))
    os.execvp(sys.argv[1], sys.argv[1:])
output = b''
while True:
    try:
        piece = os.read(terminal, 65536)
    except OSError:
        break
    if not piece:
        break
    output += piece
_, status = os.waitpid(pid, 0)
sys.stdout.buffer.write(output)
sys.exit(os.waitstatus_to_exitcode(status))
`;

async function makeMedium(folder: string): Promise<string> {
  const medium = join(folder, 'medium');
  await mkdir(medium);
  const release = await makeSoftwareRelease(join(folder, 'root'), KVM, { payload: 20_000_000 });
  await packRelease(release, join(medium, 'kvm-ubuntu-22.04.tar.gz'));
  return medium;
}

describe('the progress of an import', () => {
  it('is drawn over and over on a terminal, within its width, and taken away at the end', async () => {
    const folder = await temporaryFolder();
    const medium = await makeMedium(folder);
    const args = ['-c', ON_TERMINAL, process.execPath, CACHE, 'import', medium];
    const { stdout } = await promisify(execFile)('python3', args, { cwd: folder, env: ENVIRONMENT });
    const drawn = stdout.split('\r\u001b[K').slice(1);
    const bar =
      /^\[[#.]{20}\] +\d+% {2}[0-9.]+ [KM]?i?B of 1?[0-9.]+ MiB {2}[0-9.]+ \w+\/s.* kvm|^\[[#.]{20}\] /;
    expect(drawn.length).toBeGreaterThan(1);
    for (const line of drawn.slice(0, -1)) {
      expect(line).toMatch(bar);
      expect(line.length).toBeLessThan(120);
    }
    // After the last clearing come the results.
    expect(drawn.at(-1)).toMatch(/^ARCHIVE +RESULT/);
  });

  it('is not drawn with -q', async () => {
    const folder = await temporaryFolder();
    const medium = await makeMedium(folder);
    const args = ['-c', ON_TERMINAL, process.execPath, CACHE, 'import', '-q', medium];
    const { stdout } = await promisify(execFile)('python3', args, { cwd: folder, env: ENVIRONMENT });
    expect(stdout).toMatch(/^ARCHIVE +RESULT/);
    expect(stdout).not.toContain('%');
  });

  it('is not drawn into a pipe', async () => {
    const folder = await temporaryFolder();
    const { stdout, stderr } = await runCache(folder, 'import', await makeMedium(folder));
    expect(stdout + stderr).not.toMatch(/%|\r|\p{Cc}\[/u);
    expect(stdout).toMatch(/imported/);
  });
});
