import { execFile } from 'node:child_process';
import { mkdir, readdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A package of Debian as it was unpacked. */
export interface DebianPackage {
  readonly name: string;
  readonly version: string;
}

/** Unpacks packages of Debian. */
export interface Unpacker {
  /** The folder that everything is unpacked into. */
  readonly root: string;
  readonly unpack: (names: readonly string[]) => Promise<readonly DebianPackage[]>;
}

/**
 * Gets the lists of packages for an architecture with apt, from the sources of this machine, whose own lists stay as they are.
 * @param arch by Debian's names, such as `arm64`
 * @param folder of its own
 * @throws Error if apt or dpkg-deb is missing or fails
 */
export async function createUnpacker(arch: string, folder: string): Promise<Unpacker> {
  const [root, debs] = [join(folder, 'unpacked'), join(folder, 'debs')];
  for (const name of ['lists/partial', 'archives/partial', 'debs', 'unpacked'])
    await mkdir(join(folder, name), { recursive: true });
  await writeFile(join(folder, 'status'), '');
  const settings = [
    ...[`APT::Architecture=${arch}`, `APT::Architectures::=${arch}`],
    ...[`Dir::State::Lists=${folder}/lists`, `Dir::State::Status=${folder}/status`, `Dir::Cache=${folder}`],
    // The user of downloads may not enter the folder of this user.
    ...['APT::Sandbox::User=root', 'Acquire::Languages=none'],
  ].flatMap((setting) => ['-o', setting]);
  const apt = (args: readonly string[]) => run('apt-get', [...settings, '-qq', ...args], { cwd: debs });
  await apt(['update']);

  const unpackDeb = async (deb: string): Promise<DebianPackage> => {
    await run('dpkg-deb', ['--extract', deb, root]);
    const field = async (name: string): Promise<string> =>
      (await run('dpkg-deb', ['--field', deb, name])).stdout.trim();
    return { name: await field('Package'), version: await field('Version') };
  };

  return {
    root,
    async unpack(names) {
      await apt(['download', ...names]);
      const packages: DebianPackage[] = [];
      for (const file of (await readdir(debs)).sort()) {
        const deb = join(folder, 'archives', file);
        await rename(join(debs, file), deb);
        packages.push(await unpackDeb(deb));
      }
      return packages;
    },
  };
}
