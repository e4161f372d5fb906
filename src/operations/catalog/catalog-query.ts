import type { CatalogQuery } from '../../cache/catalog.ts';
import { CacheError } from '../../cache/errors.ts';
import { compatibilityClass, parseMultiarch, parseOs } from '../../cache/platform.ts';
import type { OsRelease } from '../../cache/system.ts';
import { SHORTEST_HEX } from './bytes-table.ts';
import type { CatalogData, Face, SortName } from './catalog-data.ts';

/** Keys that a query finds, by number. */
export interface FoundKeys {
  readonly keys: readonly number[];
  /** Of all pages. */
  readonly total: number;
  /** Of the next page. */
  readonly cursor: string | undefined;
}

const DEFAULT_LIMIT = 100;
const LARGEST_LIMIT = 1000;
/** Each takes up to 200 ms in a million releases, in which nothing else is answered. */
const MOST_WORDS = 8;

/** @throws CacheError `usage` for a wrong part of the query */
export function findKeys(data: CatalogData, face: Face, query: CatalogQuery): FoundKeys {
  const { sort = 'name', isDescending = false, limit = DEFAULT_LIMIT } = query;
  if (!Number.isInteger(limit) || limit < 1 || limit > LARGEST_LIMIT)
    throw new CacheError('usage', `limit: not a number from 1 to ${LARGEST_LIMIT}`);
  const list = data.lists[face][sort];
  const isWanted = createFilter(data, face, query);
  const position = query.cursor === undefined ? undefined : positionOf(query.cursor, data, face, sort);
  /** One more than the page has, if there is one. */
  const keys: number[] = [];
  let total = 0;
  if (isWanted === undefined) {
    total = list.length;
    list.walk(isDescending, (key) => keys.push(key) <= limit, position);
  } else {
    let isBehind = position === undefined;
    list.walk(isDescending, (key) => {
      if (!isWanted(key)) return true;
      total++;
      isBehind ||= isDescending ? (position?.(key) ?? -1) < 0 : (position?.(key) ?? 1) > 0;
      if (isBehind && keys.length <= limit) keys.push(key);
      return true;
    });
  }
  const last = keys.length > limit ? keys[limit - 1] : undefined;
  return {
    keys: keys.slice(0, limit),
    total,
    cursor: last === undefined ? undefined : cursorOf(last, data, face, sort),
  };
}

/** Names the last key of a page and its place, so that keys that come and go move no page. */
function cursorOf(key: number, data: CatalogData, face: Face, sort: SortName): string {
  const value =
    sort === 'name'
      ? data.texts.head(data.textOf(key, face)).toString('latin1')
      : data.valueOf(key, face, sort);
  return Buffer.from(JSON.stringify([sort, value, data.keys.hex(key)])).toString('base64url');
}

/** Compares keys with the place that a cursor names. @throws CacheError `usage` */
function positionOf(cursor: string, data: CatalogData, face: Face, sort: SortName): (key: number) => number {
  const [ofSort, value, id] = parseCursor(cursor);
  const isId = typeof id === 'string' && /^[0-9a-f]{32}$/.test(id);
  if (ofSort !== sort || !isId || typeof value !== (sort === 'name' ? 'string' : 'number'))
    throw new CacheError('usage', `cursor: not one of this order; take it from the page before`);
  const bytes = Buffer.from(id, 'hex');
  if (sort === 'name') {
    const head = Buffer.from(String(value), 'latin1');
    return (key) => data.texts.compare(data.textOf(key, face), head) || data.keys.compareWith(key, bytes);
  }
  return (key) => data.valueOf(key, face, sort) - Number(value) || data.keys.compareWith(key, bytes);
}

function parseCursor(cursor: string): readonly unknown[] {
  try {
    const value: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString());
    if (Array.isArray(value)) return value;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw new CacheError('usage', 'cursor: not made by this server; take it from the page before');
}

/** undefined: all keys are wanted. */
function createFilter(
  data: CatalogData,
  face: Face,
  { text = '', name, os, multiarch, since }: CatalogQuery,
): ((key: number) => boolean) | undefined {
  const conditions = [
    ...Array.from(wordsOf(text), (word) => containing(data, word)),
    ...(name === undefined ? [] : [named(data, face, name)]),
    ...(os === undefined && multiarch === undefined ? [] : [builtFor(data, os, multiarch)]),
    ...(since === undefined ? [] : [receivedSince(data, face, since)]),
  ];
  return conditions.length === 0 ? undefined : (key) => conditions.every((isMet) => isMet(key));
}

/** @throws CacheError `usage` */
function wordsOf(text: string): ReadonlySet<string> {
  const words = new Set(text.toLowerCase().split(/\s+/));
  words.delete('');
  if (words.size > MOST_WORDS)
    throw new CacheError('usage', `q: more than ${MOST_WORDS} words; search for fewer`);
  return words;
}

/** Whether texts of a key, the key, or a sha512 of its entries contain a word. */
function containing(data: CatalogData, word: string): (key: number) => boolean {
  const found = new Uint8Array(data.keys.end);
  data.texts.search(word, (key) => (found[key] = 1));
  const blobs = new Set<number>();
  if (word.length >= SHORTEST_HEX && /^[0-9a-f]+$/.test(word)) {
    data.keys.search(word, (key) => (found[key] = 1));
    data.blobs.search(word, (blob) => blobs.add(blob));
  }
  return (key) => found[key] === 1 || (blobs.size > 0 && data.some(key, ({ blob }) => blobs.has(blob)));
}

function named(data: CatalogData, face: Face, name: string): (key: number) => boolean {
  if (face === 'sources') return () => false;
  const wanted = Buffer.from(`${name}\0`);
  return (key) => {
    const head = data.texts.head(data.textOf(key, face));
    return head.compare(wanted, 0, wanted.length, 0, Math.min(wanted.length, head.length)) === 0;
  };
}

function builtFor(
  data: CatalogData,
  os: string | undefined,
  multiarch: string | undefined,
): (key: number) => boolean {
  const system = os === undefined ? undefined : parseSystem(os);
  const machine = multiarch === undefined ? undefined : parseMultiarch(multiarch);
  const classOf = (of: OsRelease): string => compatibilityClass({ multiarch: '', os: of });
  const platforms = data.platforms.where(
    (platform) =>
      (machine === undefined || platform.multiarch === machine) &&
      (system === undefined || classOf(platform.os) === classOf(system)),
  );
  return (key) => data.some(key, ({ platform }) => platforms.has(platform));
}

/** An operating system as a list in JSON, as entries have it, or as options of commands take it. */
function parseSystem(text: string): OsRelease {
  if (!text.trim().startsWith('[')) return parseOs(text);
  try {
    const [id, version, codename, ...rest] = JSON.parse(text) as readonly unknown[];
    const isText = [id, version, codename].every((part) => typeof part === 'string');
    if (isText && rest.length === 0) return [String(id), String(version), String(codename)];
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw new CacheError('usage', 'os: not three texts, as in ["debian", "12", "bookworm"]');
}

function receivedSince(data: CatalogData, face: Face, since: Date): (key: number) => boolean {
  return (key) => data.valueOf(key, face, 'received') >= since.getTime();
}
