import type { Blobs } from '../../src/cache/blobs.ts';
import { digestOf } from '../../src/cache/digest.ts';
import type { VerifiedEntry } from '../../src/cache/entry.ts';
import { keyOfSoftwareUrl, type Key } from '../../src/cache/key.ts';
import {
  createTrustedCertificates,
  type Signer,
  type TrustedCertificates,
} from '../../src/cache/signature.ts';
import { sourceOfStore, type Source } from '../../src/cache/source.ts';
import type { Store } from '../../src/cache/store.ts';
import { openStore } from '../../src/storage/open-store.ts';
import { membersOf, RAPID_CDN } from '../fixtures/entries.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';

/** A store in a folder of its own, and the same as a source. */
export interface TestStore extends Store {
  readonly root: string;
  readonly source: Source;
}

export async function makeStore(root?: string): Promise<TestStore> {
  const folder = root ?? (await temporaryFolder());
  const who = { user: 'root', host: 'master' };
  const store = await openStore(folder, { mode: 'write', make: true, who });
  return { ...store, root: folder, source: sourceOfStore(store) };
}

export interface TestRelease {
  /** `RAPID_CDN` unless told. */
  readonly url?: string;
  /** The blob. */
  readonly content: string | Uint8Array;
  readonly os?: readonly [string, string, string];
  /** More members of the entry. */
  readonly more?: Readonly<Record<string, unknown>>;
}

/** An entry of a release, signed. */
export function signRelease(
  signer: Signer,
  { url = RAPID_CDN, content, os = JAMMY, more = {} }: TestRelease,
): VerifiedEntry {
  return signer.sign(JSON.stringify(membersOf(url, { sha512: digestOf(content), os, ...more })));
}

export const JAMMY = ['ubuntu', '22.04', 'jammy'] as const;
export const BOOKWORM = ['debian', '12.4', 'bookworm'] as const;

/** Puts a release into a store: blob and entry. */
export async function addRelease(
  { blobs, directory }: Pick<TestStore, 'blobs' | 'directory'>,
  signer: Signer,
  release: TestRelease,
  received?: Date,
): Promise<VerifiedEntry> {
  await addBlob(blobs, release.content);
  const entry = signRelease(signer, release);
  await directory.add(keyOf(release), entry, received);
  return entry;
}

export function keyOf({ url = RAPID_CDN }: Pick<TestRelease, 'url'> = {}): Key {
  return keyOfSoftwareUrl(url);
}

export async function addBlob(blobs: Blobs, content: string | Uint8Array): Promise<void> {
  const writer = await blobs.create();
  await writer.write([Buffer.from(content)]);
  await writer.commit();
}

export function trusting(...signers: readonly Signer[]): TrustedCertificates {
  return createTrustedCertificates(
    signers.map(({ certificate }) => ({ pem: certificate, where: 'certificate' })),
  );
}
