import { X509Certificate } from 'node:crypto';
import { mkdir, open, realpath, rename, stat, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { CacheError, systemCode } from '../../cache/errors.ts';
import type { SignedDocument } from '../../cache/signature.ts';
import { syncFolder } from '../../storage/sync-folder.ts';
import { readIfThere, writeError, writeNew } from '../files.ts';
import { UNFINISHED_FILE } from './damage.ts';
import { MANIFEST_FILE } from './manifest.ts';

/** The folder of a medium, as it was when an export began. */
export interface MediumRoot {
  readonly folder: string;
  /** Whether a file system is mounted just there. */
  readonly isMountPoint: boolean;
  /** @throws CacheError `storage`: another file system is there now, or none */
  checkIsSame(): Promise<void>;
}

/** @throws CacheError `usage`: it isn't there: nobody wants a disk that isn't mounted to be written to the one beneath */
export async function openMediumRoot(folder: string): Promise<MediumRoot> {
  const { dev, ino } = await statFolder(folder);
  const parent = await stat(dirname(await realpath(folder)));
  return {
    folder,
    isMountPoint: parent.dev !== dev || parent.ino === ino,
    async checkIsSame() {
      const now = await stat(folder).catch(() => undefined);
      if (now?.dev === dev && now.ino === ino) return;
      throw new CacheError(
        'storage',
        `${folder} is gone; plug the medium in, mount it, and run the export again: it goes on where it stopped`,
      );
    },
  };
}

async function statFolder(folder: string): Promise<{ readonly dev: number; readonly ino: number }> {
  try {
    const stats = await stat(folder);
    if (stats.isDirectory()) return stats;
    throw new CacheError('usage', `${folder} is not a folder; name the folder where the medium is mounted`);
  } catch (error) {
    if (error instanceof CacheError) throw error;
    if (systemCode(error) !== 'ENOENT')
      throw new CacheError('usage', `${folder}: can't be read (${systemCode(error) ?? String(error)})`);
    throw new CacheError(
      'usage',
      `${folder}: no such folder; is the medium mounted? To export into a folder, make it: mkdir ${folder}`,
    );
  }
}

/**
 * Makes the folders of a medium, puts the certificate that signs into it, and marks that an export writes to it.
 * @returns the path of the certificate
 * @throws CacheError `storage`, `no-space`
 */
export async function beginExport(folder: string, certificate: string): Promise<string> {
  for (const name of ['software', 'packages', 'miscellaneous']) {
    const path = join(folder, name);
    await mkdir(path, { recursive: true }).catch((error: unknown) => {
      throw writeError(path, error);
    });
  }
  const certificateFile = await placeCertificate(join(folder, 'miscellaneous'), certificate);
  await replaceFile(folder, UNFINISHED_FILE, `${JSON.stringify({ began: new Date().toISOString() })}\n`);
  return certificateFile;
}

/** Never over the certificate of somebody else, which the nodes of a site may be set up with. */
async function placeCertificate(folder: string, certificate: string): Promise<string> {
  const { fingerprint256 } = new X509Certificate(certificate);
  const short = fingerprint256.replaceAll(':', '').slice(0, 16).toLowerCase();
  for (const name of ['sign.crt', `sign-${short}.crt`]) {
    const path = join(folder, name);
    const there = await readIfThere(path);
    if (there === undefined) await writeNew(path, certificate, 0o644);
    if (there === undefined || fingerprintOf(there) === fingerprint256) return path;
  }
  throw new CacheError('storage', `${join(folder, `sign-${short}.crt`)} is damaged; remove it`);
}

function fingerprintOf(pem: string): string | undefined {
  try {
    return new X509Certificate(pem).fingerprint256;
  } catch {
    return undefined; // Damaged: another certificate in any case.
  }
}

/** Puts a manifest in the place of the one before. @throws CacheError `storage`, `no-space` */
export async function writeManifest(folder: string, [text, signature]: SignedDocument): Promise<void> {
  await replaceFile(folder, MANIFEST_FILE, `${JSON.stringify([text, signature])}\n`);
}

/** Takes away the mark that an export writes to the medium. @throws CacheError `storage` */
export async function endExport(folder: string): Promise<void> {
  const mark = join(folder, UNFINISHED_FILE);
  try {
    await unlink(mark);
    await syncFolder(folder);
  } catch (error) {
    throw writeError(mark, error);
  }
}

/** A crash leaves the old file or the new one. */
async function replaceFile(folder: string, name: string, text: string): Promise<void> {
  const path = join(folder, name);
  const temporary = `${path}.new`;
  try {
    const file = await open(temporary, 'w', 0o644);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
    await syncFolder(folder);
  } catch (error) {
    throw writeError(path, error);
  }
}
