import type { Digest } from './digest.ts';
import type { Key } from './key.ts';
import type { Platform } from './platform.ts';
import type { SignerName } from './signature.ts';

/** What a store has, kept in memory: pages and catalogs ask it. Lookups and downloads never do. */
export interface Catalog {
  readonly state: CatalogState;
  /** Software releases that match, by name, then URL. */
  releases(query?: CatalogQuery): CatalogPage<CatalogRelease>;
  /** Keys of sources that match, by key. */
  sources(query?: CatalogQuery): CatalogPage<CatalogSource>;
  release(key: Key): CatalogRelease | undefined;
}

export interface CatalogState {
  /** Whether everything in the store has been read. Before that, counts and results are lower bounds. */
  readonly isComplete: boolean;
  /** Why there is no index, such as too many entries; undefined if there is one. */
  readonly fault: string | undefined;
  readonly releases: number;
  readonly sources: number;
  readonly entries: number;
  readonly blobs: number;
  /** Of all blobs, in bytes. */
  readonly size: number;
  /** Changes whenever the content does; for ETags. */
  readonly version: string;
}

export interface CatalogQuery {
  /** Words, all of which must be in the name, URL, key or a sha512, in any case. */
  readonly text?: string;
  /** Exact name of a release, such as `rapid-cdn`. */
  readonly name?: string;
  /** As in an entry, such as `["debian", "12", "bookworm"]`; `debian 12` matches it, too. */
  readonly os?: string;
  readonly multiarch?: string;
  /** Only what was received since. */
  readonly since?: Date;
  readonly sort?: 'name' | 'size' | 'received';
  readonly isDescending?: boolean;
  /** Where the page before ended. @throws CacheError `usage` for a cursor that this program has not made */
  readonly cursor?: string;
  /** At most 1000; by default 100. */
  readonly limit?: number;
}

export interface CatalogPage<Item> {
  readonly items: readonly Item[];
  /** Of all pages. */
  readonly total: number;
  /** Of the next page; undefined on the last one. */
  readonly cursor: string | undefined;
}

export interface CatalogRelease {
  readonly key: Key;
  readonly url: string;
  /** Such as `rapid-cdn`. */
  readonly name: string;
  /** Such as `1.0.344`; undefined if the URL has none. */
  readonly version: string | undefined;
  /** The newest entry of each platform, which nodes take. */
  readonly builds: readonly CatalogEntry[];
}

export interface CatalogSource {
  readonly key: Key;
  /** All of them, newest first. */
  readonly entries: readonly CatalogEntry[];
}

export interface CatalogEntry {
  readonly sha512: Digest;
  /** Of the blob, in bytes; undefined if it is missing. */
  readonly size: number | undefined;
  readonly received: Date;
  /** undefined: no trusted certificate verifies the entry. */
  readonly signer: SignerName | undefined;
  /** Of a release. */
  readonly platform: Platform | undefined;
  /** Of a source. */
  readonly url: string | undefined;
  readonly basename: string | undefined;
}
