import type { CustodyAction, CustodyLog } from '../cache/custody.ts';
import type { Digest } from '../cache/digest.ts';
import { noneIfDamaged, type Directory } from '../cache/directory.ts';
import type { Signer, TrustedCertificates } from '../cache/signature.ts';
import type { ReleaseIdentity } from './release-identity.ts';
import { SOFTWARE_ROOT } from '../cache/software-root.ts';
import { softwareRootOf } from './entry-use.ts';

/** A release whose archive is in the store already. */
export interface StoredRelease extends ReleaseIdentity {
  /** Name of the archive's file. */
  readonly file: string;
  readonly sha512: Digest;
  /** Bytes. */
  readonly size: number;
}

/** Where entries are added, and who signs them. */
export interface EntryTarget {
  readonly directory: Directory;
  /** Told of every entry that is added. */
  readonly custody: CustodyLog;
  readonly signer: Signer;
  /** An entry that one of these verifies already needs no second one. */
  readonly trusted: TrustedCertificates;
}

export interface EntryOrigin {
  readonly action: CustodyAction;
  /** Path of what the release came from. */
  readonly source: string;
  /**
   * Where the release was built and must be unpacked. Where nobody says, an entry for any folder will do, and a new one is
   * for the usual folder.
   */
  readonly softwareRoot?: string | undefined;
  readonly now?: (() => Date) | undefined;
}

/**
 * Signs an entry for a release and adds it, unless there is one that says the same.
 * @returns the release's entry, and whether there was none yet
 * @throws CacheError `storage`, `no-space`
 */
export async function addReleaseEntry(
  { file, softwareUrl, key, platform, sha512, size }: StoredRelease,
  { directory, custody, signer, trusted }: EntryTarget,
  { action, source, softwareRoot, now = () => new Date() }: EntryOrigin,
): Promise<{ readonly entry: Digest; readonly isNew: boolean }> {
  const present = await directory.entries(key).catch(noneIfDamaged);
  const known = present.find(
    (entry) =>
      entry.sha512 === sha512 &&
      entry.platform?.multiarch === platform.multiarch &&
      entry.platform.os.join() === platform.os.join() &&
      (softwareRoot === undefined || (softwareRootOf(entry) ?? softwareRoot) === softwareRoot) &&
      trusted.signerOf(entry) !== undefined,
  );
  if (known !== undefined && (await directory.keep(key, known))) return { entry: known.digest, isNew: false };
  const members = {
    sha512,
    software_url: softwareUrl,
    software_root: softwareRoot ?? SOFTWARE_ROOT,
    multiarch: platform.multiarch,
    os: platform.os,
    file,
    size,
    creation_date: now().toISOString(),
  };
  const entry = signer.sign(JSON.stringify(members));
  const isNew = await directory.add(key, entry);
  if (isNew) await custody.record({ action, key, entry: entry.digest, sha512, softwareUrl, size, source });
  return { entry: entry.digest, isNew };
}
