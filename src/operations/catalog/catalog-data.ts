import { createHash, randomBytes } from 'node:crypto';
import { prefixOf, type Digest } from '../../cache/digest.ts';
import type { StoredEntry } from '../../cache/directory.ts';
import { isSourceEntry } from '../../cache/entry.ts';
import { isReleaseKey, type Key } from '../../cache/key.ts';
import type { Platform } from '../../cache/platform.ts';
import type { SignerName } from '../../cache/signature.ts';
import { nameAndVersionOf, nameOfRelease } from '../../release/release-name.ts';
import { BytesTable } from './bytes-table.ts';
import { Column } from './column.ts';
import { SortedList } from './sorted-list.ts';
import { TextPages } from './text-pages.ts';

/** An entry as the store has it. */
export interface ReadEntry {
  readonly digest: Digest;
  /** undefined: it is damaged. */
  readonly stored: StoredEntry | undefined;
  /** undefined: no trusted certificate verifies it. */
  readonly signer: SignerName | undefined;
}

/** What an entry is for clients; `damaged` for none. */
type Kind = 'release' | 'source' | 'damaged';
const KINDS: readonly Kind[] = ['release', 'source', 'damaged'];

/** The entries of a key that are listed together. */
export type Face = 'releases' | 'sources';

export type SortName = 'name' | 'size' | 'received';

/** An entry by number, for lists and filters. */
export interface EntryRow {
  readonly kind: Kind;
  readonly platform: number;
  readonly signer: number;
  readonly blob: number;
  readonly received: number;
  readonly text: number;
}

const FACES: readonly Face[] = ['releases', 'sources'];
const KIND_OF: Readonly<Record<Face, Kind>> = { releases: 'release', sources: 'source' };

/** Characters of a release's name that are kept. */
const NAME_LIMIT = 160;
/** Missing blobs have this size. */
const MISSING = -1;

/**
 * Keys, entries and blobs as numbers, in tables and columns outside the heap of V8: 300 bytes for an entry with its key and
 * blob, instead of two thousand as objects, and nothing for the garbage collector to visit.
 */
export class CatalogData {
  /** 16 bytes of each key: itself if it is that of a release, else of its digest. */
  readonly keys = new BytesTable(16);
  readonly blobs = new BytesTable(64);
  readonly texts = new TextPages();
  /** Distinct values, by number. */
  readonly platforms = new Distinct<Platform>(({ multiarch, os }) => JSON.stringify([multiarch, os]));
  readonly signers = new Distinct<SignerName>(({ fingerprint }) => fingerprint);
  /** By face and order. */
  readonly lists: Readonly<Record<Face, Readonly<Record<SortName, SortedList>>>> = {
    releases: this.#createLists('releases'),
    sources: this.#createLists('sources'),
  };

  // Of keys. A number of an entry or a text is 0 if there is none.
  readonly #firstEntry = new Column('whole');
  readonly #texts = { releases: new Column('whole'), sources: new Column('whole') };
  readonly #isListed = { releases: new Column('whole'), sources: new Column('whole') };
  /** Bytes of the blobs of each face's entries, and the newest time of receipt: the values of the orders. */
  readonly #sizes = { releases: new Column('any'), sources: new Column('any') };
  readonly #received = new Column('any');

  // Of entries, from 1.
  readonly #nextEntry = new Column('whole');
  readonly #prefix = new Column('any');
  readonly #entryReceived = new Column('any');
  readonly #entryBlob = new Column('whole');
  readonly #platform = new Column('whole');
  readonly #signer = new Column('whole');
  readonly #kind = new Column('whole');
  readonly #entryText = new Column('whole');
  #entriesEnd = 1;
  readonly #freeEntries: number[] = [];

  // Of blobs.
  readonly #size = new Column('any');
  readonly #uses = new Column('whole');

  #blobCount = 0;
  #blobBytes = 0;
  #missingUses = 0;
  #damaged = 0;
  #untrusted = 0;
  #changes = 0;
  readonly #run = randomBytes(4).toString('hex');

  get version(): string {
    return `${this.#run}-${this.#changes.toString(36)}`;
  }

  /** Another version, because something changed beside keys and blobs. */
  touch(): void {
    this.#changes++;
  }

  get counts(): {
    readonly releases: number;
    readonly sources: number;
    readonly entries: number;
    readonly blobs: number;
    readonly size: number;
  } {
    return {
      releases: this.lists.releases.name.length,
      sources: this.lists.sources.name.length,
      entries: this.#entriesEnd - 1 - this.#freeEntries.length,
      blobs: this.#blobCount,
      size: this.#blobBytes,
    };
  }

  /** How many entries no node can use, by reason. */
  get refused(): Readonly<Record<'damaged' | 'untrusted' | 'blob-missing', number>> {
    return { damaged: this.#damaged, untrusted: this.#untrusted, 'blob-missing': this.#missingUses };
  }

  keyOf(key: Key): number {
    return this.keys.find(idOf(key));
  }

  keyText(key: number): Key {
    const text = this.#texts.sources.get(key);
    return (text === 0 ? this.keys.hex(key) : (this.texts.fields(text, 1)[0] ?? '')) as Key;
  }

  /** The entries of a key, newest first. */
  *entriesOf(key: number): Generator<EntryRow> {
    for (let entry = this.#firstEntry.get(key); entry !== 0; entry = this.#nextEntry.get(entry)) {
      yield {
        kind: KINDS[this.#kind.get(entry)] ?? 'damaged',
        platform: this.#platform.get(entry),
        signer: this.#signer.get(entry),
        blob: this.#entryBlob.get(entry),
        received: this.#entryReceived.get(entry),
        text: this.#entryText.get(entry),
      };
    }
  }

  /** Whether an entry of a key satisfies a condition. */
  some(key: number, isWanted: (entry: EntryRow) => boolean): boolean {
    for (const entry of this.entriesOf(key)) if (isWanted(entry)) return true;
    return false;
  }

  /** Whether a key has exactly these entries, none of them damaged. */
  hasExactly(key: number, digests: readonly Digest[]): boolean {
    const prefixes = new Set<number>();
    for (let entry = this.#firstEntry.get(key); entry !== 0; entry = this.#nextEntry.get(entry)) {
      if (this.#kind.get(entry) === KINDS.indexOf('damaged')) return false;
      prefixes.add(this.#prefix.get(entry));
    }
    return prefixes.size === digests.length && digests.every((digest) => prefixes.has(prefixOf(digest)));
  }

  /** The keys that are not marked. */
  *keysExcept(marked: Column): Generator<Key> {
    for (let row = 0; row < this.keys.end; row++)
      if (this.#firstEntry.get(row) !== 0 && marked.get(row) === 0) yield this.keyText(row);
  }

  /** The blobs that the store has and that are not marked. */
  *blobsExcept(marked: Column): Generator<{ readonly blob: number; readonly digest: Digest }> {
    for (let blob = 0; blob < this.blobs.end; blob++)
      if (this.sizeOf(blob) !== undefined && marked.get(blob) === 0)
        yield { blob, digest: this.blobs.hex(blob) as Digest };
  }

  /** Name, URL and version of a listed release. */
  releaseOf(key: number): { readonly name: string; readonly version: string; readonly url: string } {
    const [nameAndUrl = ''] = this.texts.fields(this.#texts.releases.get(key), 1);
    const end = nameAndUrl.indexOf('\0');
    const url = nameAndUrl.slice(end + 1);
    return { name: nameAndUrl.slice(0, end), url, version: nameAndVersionOf(url).version };
  }

  /** The text of a face by which its keys are ordered and found. */
  textOf(key: number, face: Face): number {
    return this.#texts[face].get(key);
  }

  /** The value of an order other than by name. */
  valueOf(key: number, face: Face, sort: 'size' | 'received'): number {
    return sort === 'size' ? this.#sizes[face].get(key) : this.#received.get(key);
  }

  sizeOf(blob: number): number | undefined {
    const size = this.#size.get(blob);
    return size === MISSING ? undefined : size;
  }

  blobOf(digest: Digest): number {
    return this.blobs.find(Buffer.from(digest, 'hex'));
  }

  /** @param size bytes; undefined if the store lacks the blob */
  setBlob(digest: Digest, size: number | undefined): void {
    const known = this.blobOf(digest);
    if (known === -1 && size === undefined) return;
    const blob = known === -1 ? this.#addBlob(digest) : known;
    if (this.sizeOf(blob) === size) return;
    if (this.#uses.get(blob) > 0) this.#resize(new Map([[blob, size]]));
    else this.#setSize(blob, size);
    this.#changes++;
  }

  /** The same for many blobs that are gone: one pass over all keys. */
  removeBlobs(gone: readonly number[]): void {
    if (gone.length === 0) return;
    const used = gone.filter((blob) => this.#uses.get(blob) > 0);
    if (used.length > 0) this.#resize(new Map(used.map((blob) => [blob, undefined])));
    for (const blob of gone) if (this.#uses.get(blob) === 0) this.#setSize(blob, undefined);
    this.#changes++;
  }

  /**
   * Replaces the entries of a key.
   * @param entries newest first; none removes the key
   * @param sizes bytes of their blobs; undefined if the store lacks one
   */
  put(key: Key, entries: readonly ReadEntry[], sizes: ReadonlyMap<Digest, number | undefined>): void {
    const found = this.keyOf(key);
    if (found === -1 && entries.length === 0) return;
    const row = found === -1 ? this.keys.add(idOf(key)) : found;
    this.#unlist(row);
    const old = this.#firstEntry.get(row);
    this.#firstEntry.set(row, 0);
    // Added before the old ones go: a blob that both name stays.
    let last = 0;
    for (const entry of entries) {
      const number = this.#addEntry(key, entry, sizes, row);
      if (last === 0) this.#firstEntry.set(row, number);
      else this.#nextEntry.set(last, number);
      last = number;
    }
    for (let entry = old; entry !== 0;) {
      const next = this.#nextEntry.get(entry);
      this.#removeEntry(entry);
      entry = next;
    }
    if (entries.length === 0) this.keys.remove(row);
    else this.#list(key, row, entries);
    this.#changes++;
  }

  #createLists(face: Face): Readonly<Record<SortName, SortedList>> {
    return {
      name: new SortedList(
        (a, b) =>
          this.texts.compare(this.textOf(a, face), this.texts.head(this.textOf(b, face))) ||
          this.keys.compare(a, b),
      ),
      size: new SortedList(
        (a, b) => this.valueOf(a, face, 'size') - this.valueOf(b, face, 'size') || this.keys.compare(a, b),
      ),
      received: new SortedList(
        (a, b) =>
          this.valueOf(a, face, 'received') - this.valueOf(b, face, 'received') || this.keys.compare(a, b),
      ),
    };
  }

  #list(key: Key, row: number, entries: readonly ReadEntry[]): void {
    const url = entries.find(({ stored }) => stored?.softwareUrl !== undefined)?.stored?.softwareUrl;
    const isSource = entries.some(({ stored }) => stored !== undefined && isSourceEntry(key, stored));
    const received = entries.reduce(
      (newest, { stored }) => Math.max(newest, stored?.received.getTime() ?? 0),
      0,
    );
    this.#received.set(row, received);
    if (isReleaseKey(key) && url !== undefined) {
      const name = nameAndVersionOf(url).name || nameOfRelease(url);
      this.#texts.releases.set(row, this.texts.add([`${name.slice(0, NAME_LIMIT)}\0${url}`], row));
    }
    // A key that is no digest is only known by its text, also if all its entries are damaged.
    if (isSource || !isReleaseKey(key)) this.#texts.sources.set(row, this.texts.add([key], row));
    this.#isListed.releases.set(row, this.#texts.releases.get(row) === 0 ? 0 : 1);
    this.#isListed.sources.set(row, isSource ? 1 : 0);
    for (const face of FACES) {
      if (this.#isListed[face].get(row) === 0) continue;
      this.#sizes[face].set(row, this.#sumOf(row, face));
      for (const list of Object.values(this.lists[face])) list.add(row);
    }
  }

  #unlist(row: number): void {
    for (const face of FACES) {
      if (this.#isListed[face].get(row) !== 0)
        for (const list of Object.values(this.lists[face])) list.remove(row);
      this.#isListed[face].set(row, 0);
      const text = this.textOf(row, face);
      if (text !== 0) this.texts.remove(text);
      this.#texts[face].set(row, 0);
    }
  }

  /** Bytes of the blobs that entries of a face name. */
  #sumOf(row: number, face: Face): number {
    let sum = 0;
    for (const { kind, blob } of this.entriesOf(row))
      if (kind === KIND_OF[face]) sum += this.sizeOf(blob) ?? 0;
    return sum;
  }

  #addEntry(
    key: Key,
    { digest, stored, signer }: ReadEntry,
    sizes: ReadonlyMap<Digest, number | undefined>,
    row: number,
  ): number {
    const entry = this.#freeEntries.pop() ?? this.#entriesEnd++;
    const kind: Kind = stored === undefined ? 'damaged' : isSourceEntry(key, stored) ? 'source' : 'release';
    this.#kind.set(entry, KINDS.indexOf(kind));
    this.#prefix.set(entry, prefixOf(digest));
    this.#nextEntry.set(entry, 0);
    this.#entryReceived.set(entry, stored?.received.getTime() ?? 0);
    this.#platform.set(entry, stored?.platform === undefined ? 0 : this.platforms.numberOf(stored.platform));
    this.#signer.set(entry, signer === undefined ? 0 : this.signers.numberOf(signer));
    const hasText = kind === 'source' && (stored?.url ?? stored?.basename) !== undefined;
    this.#entryText.set(
      entry,
      hasText ? this.texts.add([stored?.url ?? '', stored?.basename ?? ''], row) : 0,
    );
    if (stored === undefined) {
      this.#damaged++;
      return entry;
    }
    if (signer === undefined) this.#untrusted++;
    const { sha512 } = stored;
    const known = this.blobOf(sha512);
    const blob = known === -1 ? this.#addBlob(sha512) : known;
    const size = sizes.get(sha512);
    if (this.sizeOf(blob) !== size) {
      if (this.#uses.get(blob) > 0) this.#resize(new Map([[blob, size]]));
      else this.#setSize(blob, size);
    }
    this.#entryBlob.set(entry, blob);
    this.#uses.set(blob, this.#uses.get(blob) + 1);
    if (size === undefined) this.#missingUses++;
    return entry;
  }

  #removeEntry(entry: number): void {
    const text = this.#entryText.get(entry);
    if (text !== 0) this.texts.remove(text);
    this.#freeEntries.push(entry);
    if (this.#kind.get(entry) === KINDS.indexOf('damaged')) {
      this.#damaged--;
      return;
    }
    if (this.#signer.get(entry) === 0) this.#untrusted--;
    const blob = this.#entryBlob.get(entry);
    const uses = this.#uses.get(blob) - 1;
    this.#uses.set(blob, uses);
    if (this.sizeOf(blob) !== undefined) return;
    this.#missingUses--;
    if (uses === 0) this.blobs.remove(blob);
  }

  #addBlob(digest: Digest): number {
    const blob = this.blobs.add(Buffer.from(digest, 'hex'));
    this.#size.set(blob, MISSING);
    this.#uses.set(blob, 0);
    return blob;
  }

  /** Sets the size of a blob that no listed key depends on. */
  #setSize(blob: number, size: number | undefined): void {
    const old = this.sizeOf(blob);
    const uses = this.#uses.get(blob);
    if (old !== undefined) {
      this.#blobCount--;
      this.#blobBytes -= old;
    } else this.#missingUses -= uses;
    this.#size.set(blob, size ?? MISSING);
    if (size !== undefined) {
      this.#blobCount++;
      this.#blobBytes += size;
    } else if (uses === 0) this.blobs.remove(blob);
    else this.#missingUses += uses;
  }

  /** Sets the sizes of blobs that entries name; their keys get another place in the order of sizes. */
  #resize(sizes: ReadonlyMap<number, number | undefined>): void {
    const moved: Record<Face, readonly number[]> = { releases: [], sources: [] };
    for (const face of FACES) {
      const rows: number[] = [];
      this.lists[face].name.walk(false, (row) => {
        if (this.#names(row, face, sizes)) rows.push(row);
        return true;
      });
      for (const row of rows) this.lists[face].size.remove(row);
      moved[face] = rows;
    }
    for (const [blob, size] of sizes) this.#setSize(blob, size);
    for (const face of FACES) {
      for (const row of moved[face]) {
        this.#sizes[face].set(row, this.#sumOf(row, face));
        this.lists[face].size.add(row);
      }
    }
  }

  /** Whether an entry of a face names one of these blobs. */
  #names(row: number, face: Face, blobs: ReadonlyMap<number, unknown>): boolean {
    const kind = KINDS.indexOf(KIND_OF[face]);
    for (let entry = this.#firstEntry.get(row); entry !== 0; entry = this.#nextEntry.get(entry))
      if (this.#kind.get(entry) === kind && blobs.has(this.#entryBlob.get(entry))) return true;
    return false;
  }
}

/** Values of which there are few, by number; numbers begin with 1. */
class Distinct<Value> {
  readonly #values: Value[] = [];
  readonly #numbers = new Map<string, number>();
  readonly #idOf: (value: Value) => string;

  constructor(idOf: (value: Value) => string) {
    this.#idOf = idOf;
  }

  numberOf(value: Value): number {
    const id = this.#idOf(value);
    const known = this.#numbers.get(id);
    if (known !== undefined) return known;
    const number = this.#values.push(value);
    this.#numbers.set(id, number);
    return number;
  }

  /** undefined for 0. */
  get(number: number): Value | undefined {
    return this.#values[number - 1];
  }

  /** The numbers of the values that satisfy a condition. */
  where(isWanted: (value: Value) => boolean): ReadonlySet<number> {
    const numbers = new Set<number>();
    for (const [index, value] of this.#values.entries()) if (isWanted(value)) numbers.add(index + 1);
    return numbers;
  }
}

/** The key itself if it is that of a release; else of its digest. */
function idOf(key: Key): Buffer {
  return isReleaseKey(key)
    ? Buffer.from(key, 'hex')
    : createHash('sha256').update(key).digest().subarray(0, 16);
}
