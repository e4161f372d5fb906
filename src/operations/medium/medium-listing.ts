import type { Digest } from '../../cache/digest.ts';
import { CacheError, isUndecodable, UNDECODABLE } from '../../cache/errors.ts';
import type { TrustedCertificates } from '../../cache/signature.ts';
import type { MediumFault } from './medium-faults.ts';
import {
  filesOf,
  nameInStore,
  readManifest,
  STORE_FOLDER,
  type MediumFile,
  type SignedManifest,
} from './manifest.ts';
import { listStoreFiles } from './store-files.ts';

/** Files of a medium before an export, found without reading them. */
export interface MediumListing {
  /** Bytes of each object. */
  readonly sizes: ReadonlyMap<string, number>;
  /** Objects as long as the earlier manifest says, with its data. */
  readonly covered: ReadonlyMap<string, MediumFile>;
  /** Blobs whose parts are all covered: the parts in order. */
  readonly split: ReadonlyMap<Digest, { readonly size: number; readonly parts: readonly string[] }>;
  /** Bytes of the first part of each blob that an earlier export split; repairs keep this size. */
  readonly partSizes: ReadonlyMap<Digest, number>;
  /** Objects of an earlier export that are missing or have another size; by name. */
  readonly differing: ReadonlyMap<string, string>;
  /** Files that don't belong in a store. */
  readonly strays: readonly MediumFault[];
  /** undefined if there is no valid one. */
  readonly manifest: SignedManifest | undefined;
  /** Reason why the existing manifest is invalid. */
  readonly manifestFault: string | undefined;
}

/** @throws CacheError `storage` */
export async function listMedium(folder: string, signers: TrustedCertificates): Promise<MediumListing> {
  const { sizes, strays } = await listStoreFiles(folder);
  const { manifest, manifestFault } = await readIfValid(folder, signers);
  const covered = new Map<string, MediumFile>();
  const differing = new Map<string, string>();
  for (const [name, file] of manifest === undefined ? [] : filesOf(manifest.manifest)) {
    const size = sizes.get(name);
    if (size === file.size) covered.set(name, file);
    else differing.set(name, size === undefined ? 'missing' : `has ${size} bytes instead of ${file.size}`);
  }
  const split = new Map<Digest, { size: number; parts: readonly string[] }>();
  const partSizes = new Map<Digest, number>();
  const said = new Map(manifest?.manifest.files.map(({ path, size }) => [path, size]));
  for (const { sha512, size, parts } of manifest?.manifest.split ?? []) {
    const names = parts.map(nameInStore);
    partSizes.set(sha512, said.get(parts[0] ?? '') ?? size);
    if (names.every((name) => covered.has(name))) split.set(sha512, { size, parts: names });
  }
  return {
    ...{ sizes, covered, split, partSizes, differing, manifest, manifestFault },
    strays: strays.map((name) => ({
      path: `${STORE_FOLDER}/${name}`,
      what: `does not belong into a store; move it elsewhere${isUndecodable(name) ? `; ${UNDECODABLE}` : ''}`,
    })),
  };
}

/** An untrusted or damaged manifest covers nothing, so everything is read instead. */
async function readIfValid(
  folder: string,
  signers: TrustedCertificates,
): Promise<Pick<MediumListing, 'manifest' | 'manifestFault'>> {
  try {
    return { manifest: await readManifest(folder, signers), manifestFault: undefined };
  } catch (error) {
    if (!(error instanceof CacheError) || error.code === 'storage') throw error;
    return { manifest: undefined, manifestFault: error.message.split('\n')[0] };
  }
}
