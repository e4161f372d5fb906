import { X509Certificate } from 'node:crypto';
import { lstat, mkdir, open, rename, rmdir, stat, unlink, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { CacheError, shortReasonOf, systemCode, throwProgrammingError } from '../../cache/errors.ts';
import type { SignedDocument } from '../../cache/signature.ts';
import { makeDurable } from '../../storage/durable-names.ts';
import { adoptFile, adoptFolder, ownershipOf } from '../../storage/ownership.ts';
import { syncFolder } from '../../storage/sync-folder.ts';
import { keepDurable, readIfThere, writeError } from '../files.ts';
import { UNFINISHED_FILE } from './medium-faults.ts';
import { isMountPoint } from './mount-point.ts';
import { MANIFEST_FILE, PACKAGES_FOLDER, STORE_FOLDER } from './manifest.ts';

/** The folder of a medium that holds certificates. */
const CERTIFICATES = 'miscellaneous';

/** The folder of a medium, pinned to the file system that it was on when the export began. */
export interface MediumRoot {
  readonly folder: string;
  /** Whether a file system is mounted at exactly this folder. */
  readonly isMountPoint: boolean;
  /** @throws CacheError `storage`: another file system is mounted there now, or none */
  checkIsSame(): Promise<void>;
  /**
   * Makes a folder of the medium if it is missing; `name` is relative to the medium.
   * @throws CacheError `storage` as `checkIsSame`; then nothing remains on the disk beneath
   */
  makeFolder(name: string): Promise<void>;
  /**
   * Replaces a file of the medium; a crash leaves the old one or the new one.
   * @param mode 0o644 unless given
   * @throws CacheError `storage` as `makeFolder`; `no-space`
   */
  replaceFile(name: string, content: string | Uint8Array, mode?: number): Promise<void>;
  /** Removes a file of the medium if it is there. @throws CacheError `storage` */
  removeFile(name: string): Promise<void>;
}

/** @throws CacheError `usage`: the folder doesn't exist; making it would fill the disk beneath an unmounted medium */
export async function openMediumRoot(folder: string): Promise<MediumRoot> {
  const { dev, ino } = await statFolder(folder);
  const gone = (): CacheError =>
    new CacheError(
      'storage',
      `${folder} is gone; plug the medium in, mount it, and run the export again: it goes on where it stopped`,
    );
  const isSame = async (): Promise<boolean> => {
    const now = await stat(folder).catch(() => undefined);
    return now?.dev === dev && now.ino === ino;
  };
  return {
    folder,
    isMountPoint: await isMountPoint(folder),
    async checkIsSame() {
      if (!(await isSame())) throw gone();
    },
    async makeFolder(name) {
      const path = join(folder, name);
      try {
        await mkdir(path);
      } catch (error) {
        if (systemCode(error) !== 'EEXIST') throw writeError(path, error);
        await checkIsFolder(path);
        return;
      }
      const made = await lstat(path).catch(() => undefined);
      if (made?.dev === dev) {
        await adoptFolder(path, await ownershipOf(folder));
        return;
      }
      // The folder is on the disk beneath, or went with the medium.
      if (made !== undefined) await rmdir(path).catch(() => undefined);
      throw gone();
    },
    async replaceFile(name, content, mode = 0o644) {
      const path = join(folder, name);
      const temporary = `${path}.new`;
      try {
        const file = await openNew(temporary);
        try {
          // Only the new folder shows its device; an overlay reports different devices for files and folders.
          if (!(await isSame())) {
            await unlink(temporary).catch(() => undefined);
            throw gone();
          }
          await adoptFile(file, await ownershipOf(folder), mode);
          await file.writeFile(content);
          await file.sync();
        } finally {
          await file.close();
        }
        await rename(temporary, path);
        await makeDurable(path, undefined, { isSynced: true });
      } catch (error) {
        await unlink(temporary).catch(() => undefined);
        if (error instanceof CacheError) throw error;
        throw writeError(path, error);
      }
    },
    async removeFile(name) {
      const path = join(folder, name);
      try {
        await unlink(path);
        await syncFolder(folder);
      } catch (error) {
        if (systemCode(error) !== 'ENOENT') throw writeError(path, error);
      }
    },
  };
}

/**
 * Replaces the leftover of an interrupted export. Never follows a link, which would lead to a file of this machine.
 */
async function openNew(path: string): Promise<FileHandle> {
  await unlink(path).catch((error: unknown) => {
    if (systemCode(error) !== 'ENOENT') throw error;
  });
  return open(path, 'wx', 0o644);
}

/** Rejects a link to a folder, too: it would lead to this machine. */
async function checkIsFolder(path: string): Promise<void> {
  const stats = await lstat(path).catch((error: unknown) => {
    throw writeError(path, error);
  });
  if (!stats.isDirectory())
    throw new CacheError('invalid-medium', `${path} is not a folder; remove it from the medium`);
}

async function statFolder(folder: string): Promise<{ readonly dev: number; readonly ino: number }> {
  try {
    const stats = await stat(folder);
    if (stats.isDirectory()) return stats;
    throw new CacheError('usage', `${folder} is not a folder; name the folder where the medium is mounted`);
  } catch (error) {
    if (error instanceof CacheError) throw error;
    if (systemCode(error) !== 'ENOENT')
      throw new CacheError('usage', `${folder}: can't be read (${shortReasonOf(error)})`);
    throw new CacheError(
      'usage',
      `${folder}: no such folder; is the medium mounted? To export into a folder, make it: mkdir ${folder}`,
    );
  }
}

/**
 * Makes the folders of a medium, places the signer's certificate, and marks the export as unfinished.
 * @returns the path of the certificate
 * @throws CacheError `storage`, `no-space`
 */
export async function beginExport(root: MediumRoot, certificate: string): Promise<string> {
  for (const name of ['software', PACKAGES_FOLDER, CERTIFICATES, STORE_FOLDER]) await root.makeFolder(name);
  const certificateFile = await placeCertificate(root, certificate);
  await root.replaceFile(UNFINISHED_FILE, `${JSON.stringify({ began: new Date().toISOString() })}\n`);
  return certificateFile;
}

/** Never overwrites another signer's certificate, which nodes of a site may be set up with. */
async function placeCertificate(root: MediumRoot, certificate: string): Promise<string> {
  const { fingerprint256 } = new X509Certificate(certificate);
  const short = fingerprint256.replaceAll(':', '').slice(0, 16).toLowerCase();
  for (const name of ['sign.crt', `sign-${short}.crt`]) {
    const path = join(root.folder, CERTIFICATES, name);
    const there = await readIfThere(path);
    if (there === undefined) await root.replaceFile(join(CERTIFICATES, name), certificate);
    else if (fingerprintOf(there) !== fingerprint256) continue;
    else await keepDurable(path);
    return path;
  }
  const path = join(root.folder, CERTIFICATES, `sign-${short}.crt`);
  throw new CacheError('storage', `${path} is damaged; remove it`);
}

function fingerprintOf(pem: string): string | undefined {
  try {
    return new X509Certificate(pem).fingerprint256;
  } catch (error) {
    throwProgrammingError(error);
    return undefined; // A damaged certificate counts as a different one.
  }
}

/** Replaces the manifest. @throws CacheError `storage`, `no-space` */
export async function writeManifest(root: MediumRoot, [text, signature]: SignedDocument): Promise<void> {
  await root.replaceFile(MANIFEST_FILE, `${JSON.stringify([text, signature])}\n`);
}

/** Removes the mark of an unfinished export. @throws CacheError `storage` */
export async function endExport(root: MediumRoot): Promise<void> {
  await root.removeFile(UNFINISHED_FILE);
}
