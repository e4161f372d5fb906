import { noneIfDamaged, type Directory, type StoredEntry } from '../cache/directory.ts';
import type { Blobs } from '../cache/blobs.ts';
import { isSourceEntry } from '../cache/entry.ts';
import { isReleaseKey, type Key } from '../cache/key.ts';
import type { Platform } from '../cache/platform.ts';
import { signerNameOf, type SignerName, type TrustedCertificates } from '../cache/signature.ts';

/** A software release with everything that a store has of it. */
export interface Release {
  readonly softwareUrl: string;
  readonly key: Key;
  /** The newest entry of each platform, which nodes take. */
  readonly builds: readonly Build[];
}

export interface Build {
  readonly platform: Platform;
  readonly sha512: string;
  /** Bytes of the archive; undefined if the blob is missing. */
  readonly size: number | undefined;
  readonly received: Date;
  /** Of all entries of the platform, as far as they are trusted; newest first. */
  readonly signers: readonly SignerName[];
}

/** A key whose entries are no releases. */
export interface ListedSource {
  readonly key: Key;
  /** All of them, newest first. */
  readonly entries: readonly ListedSourceEntry[];
}

export interface ListedSourceEntry {
  readonly url: string | undefined;
  readonly basename: string | undefined;
  readonly sha512: string;
  /** Bytes; undefined if the blob is missing. */
  readonly size: number | undefined;
  readonly received: Date;
  /** undefined: no trusted certificate verifies the entry. */
  readonly signer: SignerName | undefined;
}

/**
 * All software releases, by URL. Skips keys whose entries are all damaged.
 * @param trusted without it, no signer is known
 */
export async function listReleases(
  directory: Directory,
  blobs: Blobs,
  trusted?: TrustedCertificates,
): Promise<readonly Release[]> {
  const releases: Release[] = [];
  for (const key of await keysOf(directory)) {
    if (!isReleaseKey(key)) continue;
    const entries = await directory.entries(key).catch(noneIfDamaged);
    const softwareUrl = entries.find((entry) => entry.softwareUrl !== undefined)?.softwareUrl;
    if (softwareUrl !== undefined)
      releases.push({ softwareUrl, key, builds: await buildsOf(entries, blobs, trusted) });
  }
  return releases.sort((a, b) => (a.softwareUrl < b.softwareUrl ? -1 : 1));
}

/** All sources, by key. Skips keys whose entries are all damaged. */
export async function listSources(
  directory: Directory,
  blobs: Blobs,
  trusted: TrustedCertificates,
): Promise<readonly ListedSource[]> {
  const sources: ListedSource[] = [];
  for (const key of await keysOf(directory)) {
    const entries = await directory.entries(key).catch(noneIfDamaged);
    const listed: ListedSourceEntry[] = [];
    for (const entry of entries) {
      if (!isSourceEntry(key, entry)) continue;
      const { url, basename, sha512, received } = entry;
      const certificate = trusted.signerOf(entry);
      const size = await blobs.size(sha512);
      listed.push({
        url,
        basename,
        sha512,
        size,
        received,
        signer: certificate && signerNameOf(certificate),
      });
    }
    if (listed.length > 0) sources.push({ key, entries: listed });
  }
  return sources.sort((a, b) => (a.key < b.key ? -1 : 1));
}

/** All keys, read before their entries are: the list of a store in use may change meanwhile. */
async function keysOf(directory: Directory): Promise<readonly Key[]> {
  const keys: Key[] = [];
  for await (const key of directory.keys()) keys.push(key);
  return keys;
}

async function buildsOf(
  entries: readonly StoredEntry[],
  blobs: Blobs,
  trusted: TrustedCertificates | undefined,
): Promise<readonly Build[]> {
  const builds = new Map<string, Build>();
  for (const entry of entries) {
    const { platform, sha512, received } = entry;
    if (platform === undefined) continue;
    const certificate = trusted?.signerOf(entry);
    const signers = certificate === undefined ? [] : [signerNameOf(certificate)];
    const id = JSON.stringify([platform.multiarch, platform.os]);
    const newest = builds.get(id);
    builds.set(
      id,
      newest === undefined
        ? { platform, sha512, size: await blobs.size(sha512), received, signers }
        : { ...newest, signers: withoutRepeats([...newest.signers, ...signers]) },
    );
  }
  return [...builds.values()];
}

function withoutRepeats(signers: readonly SignerName[]): readonly SignerName[] {
  return [...new Map(signers.map((signer) => [signer.fingerprint, signer])).values()];
}
