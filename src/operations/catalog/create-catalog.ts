import type {
  Catalog,
  CatalogEntry,
  CatalogPage,
  CatalogQuery,
  CatalogRelease,
  CatalogSource,
} from '../../cache/catalog.ts';
import type { Digest } from '../../cache/digest.ts';
import type { CatalogData, EntryRow, Face } from './catalog-data.ts';
import { findKeys } from './catalog-query.ts';

/** What a catalog knows about its data. */
export interface DataState {
  readonly data: CatalogData;
  readonly isComplete: boolean;
  readonly fault: string | undefined;
}

/** A catalog of data that may be replaced. */
export function createCatalog(stateOf: () => DataState): Catalog {
  const page = <Item>(
    face: Face,
    query: CatalogQuery,
    show: (data: CatalogData, key: number) => Item,
  ): CatalogPage<Item> => {
    const { data } = stateOf();
    const { keys, total, cursor } = findKeys(data, face, query);
    return { items: keys.map((key) => show(data, key)), total, cursor };
  };
  return {
    get state() {
      const { data, isComplete, fault } = stateOf();
      return { isComplete, fault, ...data.counts, version: data.version };
    },
    releases: (query = {}) => page('releases', query, showRelease),
    sources: (query = {}) => page('sources', query, showSource),
    release(key) {
      const { data } = stateOf();
      const row = data.keyOf(key);
      return row === -1 || data.textOf(row, 'releases') === 0 ? undefined : showRelease(data, row);
    },
  };
}

function showRelease(data: CatalogData, row: number): CatalogRelease {
  const { name, version, url } = data.releaseOf(row);
  const builds = new Map<number, EntryRow>();
  for (const entry of data.entriesOf(row)) {
    const { kind, platform, signer } = entry;
    if (kind !== 'release' || platform === 0) continue;
    const newer = builds.get(platform);
    // Nodes pass over an entry that nobody trusted has signed.
    if (newer === undefined || (newer.signer === 0 && signer !== 0)) builds.set(platform, entry);
  }
  return {
    key: data.keyText(row),
    ...{ url, name, version: version === '' ? undefined : version },
    builds: [...builds.values()].map((entry) => showEntry(data, entry)),
  };
}

function showSource(data: CatalogData, row: number): CatalogSource {
  const entries: CatalogEntry[] = [];
  for (const entry of data.entriesOf(row)) if (entry.kind === 'source') entries.push(showEntry(data, entry));
  return { key: data.keyText(row), entries };
}

function showEntry(data: CatalogData, { blob, received, signer, platform, text }: EntryRow): CatalogEntry {
  const [url = '', basename = ''] = text === 0 ? [] : data.texts.fields(text, 2);
  return {
    sha512: data.blobs.hex(blob) as Digest,
    size: data.sizeOf(blob),
    received: new Date(received),
    signer: data.signers.get(signer),
    platform: data.platforms.get(platform),
    url: url === '' ? undefined : url,
    basename: basename === '' ? undefined : basename,
  };
}
