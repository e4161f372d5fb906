import { createHasher, type Digest } from '../../cache/digest.ts';
import { checkBinding } from '../../cache/entry.ts';
import { CacheError, isDamage } from '../../cache/errors.ts';
import { isReleaseKey, type Key } from '../../cache/key.ts';
import { blobName, BLOBS, DIRECTORY, entriesPrefix, STORE_FILE } from '../../cache/layout.ts';
import { formatPlatform, isCompatible, type Platform } from '../../cache/platform.ts';
import type { TrustedCertificates } from '../../cache/signature.ts';
import type { Source, SourceEntry } from '../../cache/source.ts';

export interface CheckOptions {
  /** The platform of the node. */
  readonly machine: Platform;
  /** The certificates that the nodes trust. */
  readonly trusted: Pick<TrustedCertificates, 'signerOf'>;
  /** Whether to read and hash the blob. */
  readonly deep: boolean;
  /** Reason why the owner of the store, such as a server, can't use a path in it; undefined if he can. */
  readonly ownerFault?: ((path: string) => Promise<string | undefined>) | undefined;
  /** Receives the bytes of a blob read since the last call. */
  readonly onProgress?: ((bytes: number) => void) | undefined;
}

/** Prediction of an installation. */
export interface ReleaseCheck {
  readonly key: Key;
  /** Reason why a node can't install it; undefined if it can. */
  readonly problem: ReleaseProblem | undefined;
  /** The first matching entry that the node trusts; of a source, the one with the problem, if any. */
  readonly chosen: ChosenEntry | undefined;
  /** Platforms of all entries, trusted or not; each once. */
  readonly platforms: readonly Platform[];
}

export interface ChosenEntry {
  readonly entry: Digest;
  readonly platform: Platform | undefined;
  readonly sha512: Digest;
  /** Bytes of the blob; undefined if it is missing. */
  readonly size: number | undefined;
}

/** Why a node doesn't get even a good release. */
export type NodeObstacle =
  /** `download-from-binary-cache-url-blacklist` matches. */
  | 'blacklisted'
  /** slapos.cfg names no cache. */
  | 'no-cache-url'
  /** An unfinished build is in the way. */
  | 'folder-left'
  | 'no-gcc'
  /** The node's Python refuses the certificate of the server. */
  | 'tls-refused';

export interface ReleaseProblem {
  readonly kind:
    | 'no-entry'
    | 'entry-damaged'
    | 'incompatible'
    | 'untrusted'
    /** The entry belongs under another key. */
    | 'key-mismatch'
    | 'blob-missing'
    | 'blob-damaged'
    | 'unreadable'
    /** The owner of the store, such as a server, may not use it. */
    | 'owner-forbidden'
    /** The source did not answer as a cache does. */
    | 'unavailable'
    /** The node's own setup: `SlaposNode`. */
    | NodeObstacle;
  /** For a person. */
  readonly message: string;
}

/**
 * Follows the steps of a node (protocol.md, "Which entry a node installs"). A source is sound when each trusted entry is.
 * @throws CacheError: the source can't be asked
 */
export async function checkRelease(key: Key, source: Source, options: CheckOptions): Promise<ReleaseCheck> {
  let entries: readonly SourceEntry[];
  try {
    entries = await source.entries(key);
  } catch (error) {
    if (!isDamage(error)) throw error;
    const problem = { kind: 'entry-damaged', message: error.message } as const;
    return { key, problem, chosen: undefined, platforms: [] };
  }
  const platforms = platformsOf(entries);
  const taken = isReleaseKey(key)
    ? entries.filter((entry) => fits(entry, options) && isTrusted(entry, options)).slice(0, 1)
    : // The clients of a source may choose any.
      entries.filter((entry) => isTrusted(entry, options));
  let first: ReleaseCheck | undefined;
  for (const entry of taken) {
    const { digest, platform, sha512 } = entry;
    const { size, problem: found } = await checkChosen(key, entry, source, options);
    const problem = found ?? (await faultForOwner(key, entry, options));
    const checked = { key, problem, chosen: { entry: digest, platform, sha512, size }, platforms };
    if (problem !== undefined) return checked;
    first ??= checked;
  }
  return (
    first ?? { key, problem: faultOfAll(key, entries, platforms, options), chosen: undefined, platforms }
  );
}

/** The caller, such as root, may read files that a server can't. */
async function faultForOwner(
  key: Key,
  { digest, sha512 }: SourceEntry,
  { ownerFault = () => Promise.resolve(undefined) }: CheckOptions,
): Promise<ReleaseProblem | undefined> {
  const folder = entriesPrefix(key).slice(0, -1);
  for (const path of [STORE_FILE, BLOBS, DIRECTORY, folder, `${folder}/${digest}`, blobName(sha512)]) {
    const fault = await ownerFault(path);
    if (fault !== undefined) return { kind: 'owner-forbidden', message: `${path} of the store: ${fault}` };
  }
  return undefined;
}

function fits({ platform }: SourceEntry, { machine }: CheckOptions): boolean {
  return platform !== undefined && isCompatible(platform, machine);
}

function isTrusted(entry: SourceEntry, { trusted }: CheckOptions): boolean {
  return trusted.signerOf(entry) !== undefined;
}

/** Reason why no entry is taken. */
function faultOfAll(
  key: Key,
  entries: readonly SourceEntry[],
  platforms: readonly Platform[],
  options: CheckOptions,
): ReleaseProblem {
  if (entries.length === 0) return { kind: 'no-entry', message: 'there is no entry for it' };
  if (!isReleaseKey(key)) {
    const message =
      entries.length === 1
        ? 'it has 1 entry, but no trusted certificate verifies it'
        : `it has ${entries.length} entries, but no trusted certificate verifies any of them`;
    return { kind: 'untrusted', message };
  }
  const machine = formatPlatform(options.machine);
  const fitting = entries.filter((entry) => fits(entry, options));
  if (fitting.length === 0) {
    const others = platforms.length === 0 ? 'none that is told' : platforms.map(formatPlatform).join(', ');
    return { kind: 'incompatible', message: `there is no build for ${machine}, only for ${others}` };
  }
  const isUnsigned = fitting.every(({ pair }) => pair[1] === '');
  return {
    kind: 'untrusted',
    message: `there is a build for ${machine}, but ${isUnsigned ? 'it is not signed' : 'no trusted certificate verifies its signature'}`,
  };
}

async function checkChosen(
  key: Key,
  entry: SourceEntry,
  source: Source,
  { deep, onProgress }: CheckOptions,
): Promise<{ readonly size: number | undefined; readonly problem: ReleaseProblem | undefined }> {
  const { sha512 } = entry;
  const missing = { kind: 'blob-missing', message: `its blob ${sha512} is not there` } as const;
  let size: number | undefined;
  try {
    checkBinding(key, entry);
    size = await source.blobSize(sha512);
    if (size === undefined) return { size, problem: missing };
    // An entry may state a wrong size for a good blob: the bytes decide.
    if (!deep && (entry.size === undefined || entry.size === size)) return { size, problem: undefined };
    const actual = await hashOf(sha512, source, onProgress);
    if (actual === sha512) return { size, problem: undefined };
    if (actual === undefined) return { size: undefined, problem: missing };
    const message = `its blob ${sha512} is damaged: its ${size} bytes have the sha512 ${actual}`;
    return { size, problem: { kind: 'blob-damaged', message } };
  } catch (error) {
    if (error instanceof CacheError && error.code === 'key-mismatch')
      return { size, problem: { kind: 'key-mismatch', message: error.message } };
    if (!isDamage(error)) throw error;
    return { size, problem: { kind: 'unreadable', message: error.message } };
  }
}

/** The sha512 of the bytes that a source has of a blob; undefined if it is missing. */
export async function hashOf(
  sha512: Digest,
  source: Source,
  onProgress: CheckOptions['onProgress'],
): Promise<Digest | undefined> {
  const blob = await source.openBlob(sha512);
  if (blob === undefined) return undefined;
  try {
    const hasher = createHasher();
    for await (const piece of blob.pieces) {
      hasher.update(piece);
      onProgress?.(piece.byteLength);
    }
    return hasher.digest();
  } finally {
    await blob.close();
  }
}

function platformsOf(entries: readonly SourceEntry[]): readonly Platform[] {
  const platforms = new Map<string, Platform>();
  for (const { platform } of entries)
    if (platform !== undefined) platforms.set(JSON.stringify(platform), platform);
  return [...platforms.values()];
}
