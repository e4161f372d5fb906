import type { Store } from '../../cache/store.ts';
import { isDigest, prefixOf, type Digest } from '../../cache/digest.ts';
import type { StoredEntry } from '../../cache/directory.ts';
import { isDamage } from '../../cache/errors.ts';
import type { Key } from '../../cache/key.ts';
import { blobName, DIRECTORY, entriesPrefix, parseKeyFolder } from '../../cache/layout.ts';
import type { ObjectStat } from '../../cache/object-storage.ts';
import { DamagedObject } from '../../cache/small-object.ts';
import { diskFinding, strayAt, type Finding } from './finding.ts';
import { verifyBytes } from './verify-blobs.ts';
import { NAMES_LIMIT, type BlobName, type VerifyOptions, type VerifyState } from './verification.ts';

const FOLDER = DIRECTORY.slice(0, -1);
/** Cost of an entry in bytes of blobs, for its read and the verification of its signature. */
const ENTRY_COST = 32 * 1024;

/** Verifies every entry and its blob, and finds strays among the entries. */
export async function* verifyEntries(
  store: Store,
  options: VerifyOptions,
  state: VerifyState,
): AsyncGenerator<Finding> {
  try {
    for await (const { name, type } of store.upkeep.list(FOLDER)) {
      const key = parseKeyFolder(name);
      const path = DIRECTORY + name;
      if (key === undefined) yield strayAt(path, 'its name is not a valid key');
      else if (type !== 'folder') yield strayAt(path, 'it is not a folder of entries');
      else yield* verifyKey(key, store, options, state);
    }
  } catch (error) {
    yield diskFinding(error, { path: FOLDER });
  }
}

async function* verifyKey(
  key: Key,
  store: Store,
  options: VerifyOptions,
  state: VerifyState,
): AsyncGenerator<Finding> {
  const prefix = entriesPrefix(key);
  try {
    for await (const { name, type } of store.upkeep.list(prefix.slice(0, -1))) {
      const path = prefix + name;
      if (!isDigest(name)) yield strayAt(path, 'its name is not a sha512');
      else if (type !== 'file')
        yield { kind: 'entry-damaged', path, key, entry: name, problem: 'it is not a file' };
      else yield* verifyEntry(key, name, store, options, state);
    }
  } catch (error) {
    yield diskFinding(error, { path: prefix.slice(0, -1), key });
  }
}

async function* verifyEntry(
  key: Key,
  digest: Digest,
  store: Store,
  options: VerifyOptions,
  state: VerifyState,
): AsyncGenerator<Finding> {
  const { trusted, allowUnsigned, since, pace } = options;
  const { counts, badBlobs } = state;
  const path = entriesPrefix(key) + digest;
  const where = { path, key, entry: digest };
  let entry: StoredEntry | undefined;
  try {
    await pace.take(ENTRY_COST);
    if (since !== undefined && ((await store.storage.stat(path))?.modified ?? 0) < since) return;
    entry = await store.directory.entry(key, digest);
  } catch (error) {
    counts.entries++;
    yield error instanceof DamagedObject
      ? { ...where, kind: 'entry-damaged', problem: error.what }
      : diskFinding(error, where);
    return;
  }
  // The entry was removed meanwhile.
  if (entry === undefined) return;
  counts.entries++;
  const { sha512, softwareUrl } = entry;
  const isUnsigned = entry.pair[1] === '';
  if (trusted.signerOf(entry) === undefined && !(isUnsigned && allowUnsigned)) {
    const problem = isUnsigned ? 'it is not signed' : 'no trusted certificate verifies its signature';
    yield { ...where, kind: 'entry-untrusted', sha512, softwareUrl, problem };
  }
  const finding = await verifyNamedBlob(key, entry, store, options, state);
  if (finding === undefined) return;
  if (finding.kind !== 'blob-missing') {
    if (badBlobs.has(sha512)) return;
    badBlobs.add(sha512);
  }
  yield finding;
}

/** @returns whether no earlier entry names the blob */
function noteNamed(sha512: Digest, name: BlobName, { referenced, names }: VerifyState): boolean {
  const prefix = prefixOf(sha512);
  if (referenced.has(prefix)) return false;
  referenced.add(prefix);
  if (names.size < NAMES_LIMIT) names.set(prefix, name);
  return true;
}

async function verifyNamedBlob(
  key: Key,
  { digest, sha512, size, softwareUrl }: StoredEntry,
  { blobs, directory }: Store,
  { pace, since = -Infinity }: VerifyOptions,
  state: VerifyState,
): Promise<Finding | undefined> {
  const where = { path: blobName(sha512), key, entry: digest, sha512, softwareUrl };
  const isFirst = noteNamed(sha512, { key, softwareUrl }, state);
  let stat: ObjectStat | undefined;
  try {
    stat = await blobs.stat(sha512);
    if (stat !== undefined) {
      if (isFirst && stat.modified >= since) state.bytesToRead += stat.size;
      if (size === undefined || size === stat.size) return undefined;
      // Entries may state a wrong size for a good blob: the bytes decide.
      const object = await blobs.open(sha512);
      if (object === undefined) return undefined;
      const finding = await verifyBytes(sha512, object, pace);
      return finding && { ...finding, ...where };
    }
  } catch (error) {
    // Another kind of file is in its place; the pass over the blobs reports it.
    if (isDamage(error) && error.cause === undefined) return undefined;
    return diskFinding(error, where);
  }
  // The entry, and then its blob, may have been removed after the entry was read.
  if ((await directory.digests(key)).every((other) => other !== digest)) return undefined;
  return { ...where, kind: 'blob-missing', problem: 'it is missing, and an entry names it' };
}
