import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Blobs } from '../../src/cache/blobs.ts';
import type { Directory } from '../../src/cache/directory.ts';
import { keyOfSoftwareUrl } from '../../src/cache/key.ts';
import { createTrustedCertificates, type TrustedCertificates } from '../../src/cache/signature.ts';
import { findArchives } from '../../src/operations/find-archives.ts';
import {
  importArchives,
  type ImportOptions,
  type ImportResult,
} from '../../src/operations/import-archives.ts';
import type { SigningTarget } from '../../src/operations/release-entry.ts';
import { openStore } from '../../src/storage/open-store.ts';
import { keyPairOf } from '../fixtures/key-pairs.ts';
import { signerOf } from '../fixtures/signing-keys.ts';
import {
  makeSoftwareRelease,
  packRelease,
  type PackOptions,
  type SoftwareReleaseOptions,
} from '../fixtures/software-release.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';

/** A store and a medium, as a person has them who imports. */
export interface ImportSite {
  readonly folder: string;
  readonly store: string;
  /** The folder of archives. */
  readonly medium: string;
  readonly blobs: Blobs;
  readonly directory: Directory;
  readonly trusted: TrustedCertificates;
  readonly certificateFile: string;
  readonly target: SigningTarget;
  import(paths: readonly string[], options?: Partial<ImportOptions>): Promise<readonly ImportResult[]>;
}

export async function makeImportSite(minFreeSpace = 0): Promise<ImportSite> {
  const pair = await keyPairOf('ShaCache');
  const folder = await temporaryFolder();
  const store = join(folder, 'store');
  const medium = join(folder, 'medium');
  const certificateFile = join(folder, 'sign.crt');
  await mkdir(medium);
  await writeFile(certificateFile, pair.certificate);
  const who = { user: 'root', host: 'master' };
  const opened = await openStore(store, { mode: 'write', make: true, minFreeSpace, who });
  const { blobs, directory } = opened;
  const trusted = createTrustedCertificates([{ pem: pair.certificate, where: certificateFile }]);
  const target = { store: opened, trusted, signer: signerOf(pair) };
  return {
    ...{ folder, store, medium, blobs, directory, trusted, certificateFile, target },
    async import(paths, options = {}) {
      const results: ImportResult[] = [];
      const stated = {
        software: new Map<string, string>(),
        target,
        ...options,
      };
      for await (const result of importArchives(await findArchives(paths), stated)) results.push(result);
      return results;
    },
  };
}

/** Makes an archive `file` of a small release in the medium. @returns its path */
export async function makeArchive(
  { folder, medium }: Pick<ImportSite, 'folder' | 'medium'>,
  file: string,
  url: string,
  { packed = {}, ...release }: SoftwareReleaseOptions & { readonly packed?: PackOptions } = {},
): Promise<string> {
  const root = join(folder, `root of ${file}`);
  const path = join(medium, file);
  await packRelease(await makeSoftwareRelease(root, url, release), path, packed);
  return path;
}

export const KVM = 'https://lab.nexedi.com/nexedi/slapos/raw/1.0.344/software/kvm/software.cfg';
export const KVM_KEY = keyOfSoftwareUrl(KVM);
