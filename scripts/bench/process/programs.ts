import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';

/** Programs from outside that cases are measured with, and the Debian packages that have them. */
const PACKAGES = {
  curl: 'curl',
  wrk: 'wrk',
  nginx: 'nginx-light',
  radosgw: 'ceph-mon ceph-mgr ceph-osd radosgw ceph-common',
  openssl: 'openssl',
  gzip: 'gzip',
  tar: 'tar',
  cp: 'coreutils',
  dd: 'coreutils',
  sha512sum: 'coreutils',
} as const;

export type Program = keyof typeof PACKAGES;

/** Where packages put programs of administrators, which an ordinary user's PATH doesn't have. */
const MORE_FOLDERS = ['/usr/local/sbin', '/usr/sbin', '/sbin'];

/** The program's path; undefined where it isn't installed. */
export function findProgram(name: Program): string | undefined {
  const folders = [...(process.env['PATH'] ?? '').split(':'), ...MORE_FOLDERS];
  return folders
    .filter((folder) => folder.startsWith('/'))
    .map((folder) => join(folder, name))
    .find(isExecutable);
}

/** What to tell about programs that are missing; undefined when all are there. */
export function missingAmong(names: readonly Program[]): string | undefined {
  const missing = names.filter((name) => findProgram(name) === undefined);
  if (missing.length === 0) return undefined;
  const packages = [...new Set(missing.map((name) => PACKAGES[name]))];
  return `${missing.join(', ')} missing; apt install ${packages.join(' ')}`;
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
