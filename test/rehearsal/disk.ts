import { execFile } from 'node:child_process';
import { readFile, truncate, writeFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { onTestFinished } from 'vitest';
import type { Machine } from './machine.ts';

const run = promisify(execFile);

export type DiskFormat = 'ext4' | 'vfat';

const FORMAT: Readonly<Record<DiskFormat, readonly string[]>> = {
  ext4: ['mkfs.ext4', '-q', '-F'],
  vfat: ['mkfs.vfat', '-F', '32'],
};

/** Why there can't be disks of this format here; undefined when there can. */
export async function whyNoDisk(format: DiskFormat): Promise<string | undefined> {
  const programs = [
    FORMAT[format][0] ?? '',
    ...((await needsHelper(format)) ? ['fusefat', 'fusermount'] : []),
  ];
  for (const program of programs) {
    try {
      await run('sh', ['-c', `command -v ${program}`]);
    } catch {
      return `needs ${program}`;
    }
  }
  try {
    await run('losetup', ['--find']);
    return undefined;
  } catch (error) {
    return `needs loop devices: ${error instanceof Error ? error.message : String(error)}`;
  }
}

/**
 * A disk: a device of the loop driver, until the test ends.
 * @param image the file that keeps its bytes; made here
 * @returns the device
 */
export async function makeDisk(image: string, format: DiskFormat, size: number): Promise<string> {
  await writeFile(image, '');
  await truncate(image, size);
  const [program = '', ...options] = FORMAT[format];
  await run(program, [...options, image]);
  const { stdout } = await run('losetup', ['--find', '--show', image]);
  const device = stdout.trim();
  onTestFinished(async () => {
    await run('losetup', ['--detach', device]);
  });
  return device;
}

/** Kernels without FAT mount it by a program: mount(8) finds it as it finds those of other file systems. */
export async function teachToMount(machine: Machine, format: DiskFormat): Promise<void> {
  if (!(await needsHelper(format))) return;
  await machine.run(`
cat > /usr/sbin/mount.vfat <<'END'
#!/bin/sh
# mount.vfat DEVICE FOLDER -o OPTIONS
fusefat -o rw+ "$1" "$2" > /dev/null 2>&1
END
cat > /usr/sbin/umount.fuse.fusefat <<'END'
#!/bin/sh
# What was written is on the device when the program ends.
pid=$(pgrep --full "^fusefat .* $1\\$")
umount -i "$1"
while kill -0 "$pid" 2> /dev/null; do sleep 0.05; done
END
chmod 755 /usr/sbin/mount.vfat /usr/sbin/umount.fuse.fusefat`);
}

async function needsHelper(format: DiskFormat): Promise<boolean> {
  return format === 'vfat' && !/\bvfat\b/.test(await readFile('/proc/filesystems', 'utf8'));
}
