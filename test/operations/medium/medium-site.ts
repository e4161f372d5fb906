import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { digestOf, type Digest } from '../../../src/cache/digest.ts';
import type { VerifiedEntry } from '../../../src/cache/entry.ts';
import { keyOfSoftwareUrl, type Key } from '../../../src/cache/key.ts';
import { createTrustedCertificates, type Signer } from '../../../src/cache/signature.ts';
import {
  exportMedium,
  type ExportOptions,
  type ExportResult,
} from '../../../src/operations/medium/export-medium.ts';
import {
  importMedium,
  type MediumImport,
  type MediumImportOptions,
  type MediumImportResult,
} from '../../../src/operations/medium/import-medium.ts';
import { openMedium, type MediumTarget } from '../../../src/operations/medium/open-medium.ts';
import type { Store } from '../../../src/cache/store.ts';
import { makeStore, openStore } from '../../../src/storage/open-store.ts';
import { membersOf } from '../../fixtures/entries.ts';
import { keyPairOf } from '../../fixtures/key-pairs.ts';
import { signerOf } from '../../fixtures/signing-keys.ts';
import { incompressible } from '../../fixtures/software-release.ts';

export const MIB = 1024 * 1024;

/** A site with a store and a key of its own. */
export interface MediumSite {
  readonly root: string;
  readonly site: Store;
  readonly signer: Signer;
  /** Its own certificate's PEM, and those of whom it trusts besides. */
  readonly trusted: readonly string[];
}

export async function makeSite(
  folder: string,
  name: string,
  { trust = [], minFreeSpace = 0 }: { trust?: readonly string[]; minFreeSpace?: number } = {},
): Promise<MediumSite> {
  const pair = await keyPairOf(name);
  const root = join(folder, name, 'store');
  await makeStore(root);
  return {
    ...(await openSite(root, minFreeSpace)),
    signer: signerOf(pair),
    trusted: [pair.certificate, ...trust],
  };
}

async function openSite(root: string, minFreeSpace: number): Promise<Pick<MediumSite, 'root' | 'site'>> {
  const who = { user: 'tester', host: 'here' };
  return { root, site: await openStore(root, { mode: 'write', minFreeSpace, who }) };
}

export interface Release {
  readonly key: Key;
  readonly entry: VerifiedEntry;
  readonly sha512: Digest;
}

/** Puts a release into the store: a blob of so many bytes and a signed entry. */
export async function addRelease(
  { site, signer }: MediumSite,
  url: string,
  size: number,
  more: {
    readonly by?: Signer;
    readonly received?: Date;
    readonly version?: string;
    /** When its signer made it. */
    readonly made?: string;
  } = {},
): Promise<Release> {
  const content = Buffer.from(incompressible(size));
  content.write(`${url} ${more.version ?? ''}`.slice(0, size));
  const writer = await site.blobs.create();
  await writer.write([content]);
  const { digest: sha512 } = await writer.commit();
  const key = keyOfSoftwareUrl(url);
  const members = membersOf(url, { sha512, size, version: more.version, creation_date: more.made });
  const entry = (more.by ?? signer).sign(JSON.stringify(members));
  await site.directory.add(key, entry, more.received);
  return { key, entry, sha512 };
}

export const CDN = 'https://example.com/1.0/software/cdn/software.cfg';
export const KVM = 'https://example.com/1.0/software/kvm/software.cfg';

/** Two sites, of which the second trusts the first, and a folder in the place of a medium. */
export interface Trip {
  readonly folder: string;
  readonly medium: string;
  readonly connected: MediumSite;
  readonly offline: MediumSite;
  readonly cdn: Release;
  readonly kvm: Release;
}

/** `kvm` is larger than 2 MiB, `cdn` smaller than one. */
export async function prepareTrip(folder: string): Promise<Trip> {
  const medium = join(folder, 'medium');
  await mkdir(medium);
  const connected = await makeSite(folder, 'connected');
  const offline = await makeSite(folder, 'offline', { trust: [connected.signer.certificate] });
  const cdn = await addRelease(connected, CDN, 100_000);
  const kvm = await addRelease(connected, KVM, 2 * MIB + 12_345);
  return { folder, medium, connected, offline, cdn, kvm };
}

export function trustedOf({ trusted }: MediumSite): ReturnType<typeof createTrustedCertificates> {
  return createTrustedCertificates(trusted.map((pem) => ({ pem, where: 'trusted' })));
}

export function exportTo(
  medium: string,
  from: MediumSite,
  options: Partial<ExportOptions> = {},
): Promise<ExportResult> {
  const trusted = trustedOf(from);
  return exportMedium(medium, {
    ...{ store: from.site, signer: from.signer, trusted, mediumSigners: trusted },
    ...{ verify: true, recheck: false, mountCheck: true, ...options },
  });
}

export async function importFrom(
  medium: string,
  to: MediumSite,
  options: ImportFromOptions = {},
): Promise<readonly MediumImportResult[]> {
  return (await importAll(medium, to, options)).results;
}

/** As `cache import --partial`. */
export function importWhatIsWhole(
  medium: string,
  to: MediumSite,
  options: ImportFromOptions = {},
): Promise<MediumImport> {
  return importAll(medium, to, { partial: true, ...options });
}

type ImportFromOptions = Partial<MediumImportOptions & Omit<MediumTarget, 'store'>>;

export async function importAll(
  medium: string,
  to: MediumSite,
  { acceptOlder = false, partial = false, ...options }: ImportFromOptions = {},
): Promise<MediumImport> {
  const trusted = trustedOf(to);
  const into = { store: () => Promise.resolve(to.site), acceptOlder, partial };
  const opened = await openMedium(medium, trusted, into);
  return importMedium(opened, { trusted, target: to.site, ...options });
}

/** The keys that have an entry in a store, each as often as it has one. */
export async function entriesIn({ site }: MediumSite): Promise<readonly string[]> {
  const keys: string[] = [];
  for await (const { key } of site.directory.list()) keys.push(key);
  return keys.sort();
}

/** The blobs in a store. */
export async function blobsIn({ site }: MediumSite): Promise<readonly string[]> {
  const found: string[] = [];
  for await (const digest of site.blobs.list()) found.push(digest);
  return found.sort();
}

/** Whether a blob is in a store and hashes to its name. */
export async function hasGoodBlob({ site }: MediumSite, sha512: Digest): Promise<boolean> {
  const object = await site.blobs.open(sha512);
  if (object === undefined) return false;
  const bytes = Buffer.alloc(object.size);
  await object.read(bytes, 0);
  await object.close();
  return digestOf(bytes) === sha512;
}

/** Paths of all files of a medium's store, relative to the medium. */
export async function filesOf(medium: string): Promise<readonly string[]> {
  const items = await readdir(join(medium, 'store'), { recursive: true, withFileTypes: true });
  return items
    .filter((item) => item.isFile())
    .map((item) => join(item.parentPath, item.name).slice(medium.length + 1))
    .sort();
}
