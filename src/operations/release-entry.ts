import type { LogAction } from '../cache/store-log.ts';
import type { Digest } from '../cache/digest.ts';
import { noneIfDamaged } from '../cache/directory.ts';
import type { Signer, TrustedCertificates } from '../cache/signature.ts';
import type { Store } from '../cache/store.ts';
import type { Site } from './site.ts';
import type { ReleaseIdentity } from './release-identity.ts';
import { SOFTWARE_ROOT } from '../cache/software-root.ts';
import { softwareRootOf } from './interchange-group.ts';

/** A release whose archive is already in the store. */
export interface StoredRelease extends ReleaseIdentity {
  /** File name of the archive. */
  readonly file: string;
  readonly sha512: Digest;
  /** Bytes. */
  readonly size: number;
}

/** A store, and the signer of its new entries. */
export interface SigningTarget {
  readonly store: Store;
  readonly signer: Signer;
  /** An entry that one of these verifies needs no second signature. */
  readonly trusted: TrustedCertificates;
}

/** The site's store and signer. */
export async function openSigningTarget(site: Site): Promise<SigningTarget> {
  const signer = await site.signer();
  return { store: await site.store('write'), signer, trusted: await site.ownTrusted() };
}

export interface EntryOrigin {
  readonly action: LogAction;
  /** Path of the release's origin. */
  readonly source: string;
  /**
   * The folder where the release was built and must be unpacked. If it isn't stated, an entry for any folder will do,
   * and a new entry is for the usual folder.
   */
  readonly softwareRoot?: string | undefined;
  readonly now?: (() => Date) | undefined;
}

/**
 * Signs and adds an entry for a release, unless an equivalent one exists.
 * @returns the release's entry, and whether it is new
 * @throws CacheError `storage`, `no-space`
 */
export async function addReleaseEntry(
  { file, softwareUrl, key, platform, sha512, size }: StoredRelease,
  { store: { directory, log }, signer, trusted }: SigningTarget,
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
  if (isNew) await log.record({ action, key, entry: entry.digest, sha512, softwareUrl, size, source });
  return { entry: entry.digest, isNew };
}
