import { z } from 'zod';
import { formatBucketUrl, parseBucketUrl } from '../cache/bucket-url.ts';
import { CacheError } from '../cache/errors.ts';
import { parseDuration } from './duration.ts';
import { parseSize } from './size.ts';
import { addFault, textSchema } from './text-schema.ts';
import { parseBaseUrl, parseBoolean, parseLine } from './value.ts';

/** `[store]` */
export interface StoreConfig {
  /** The store's folder; the default if the store is in a bucket. */
  readonly path: string;
  /** undefined: the store is in the folder. */
  readonly bucket: BucketConfig | undefined;
  /** Milliseconds between two checks of the whole store by the server; undefined: no checks. */
  readonly scrubInterval: number | undefined;
}

/** A bucket of an S3 service, and how to reach it. */
export interface BucketConfig {
  /** `s3://BUCKET/PREFIX` */
  readonly url: string;
  readonly access: BucketAccess;
  /** Where a server keeps copies of blobs. */
  readonly localCache: LocalCacheConfig | undefined;
}

interface LocalCacheConfig {
  readonly folder: string;
  /** Bytes. */
  readonly size: number;
}

interface BucketAccess {
  /** URL of the service; undefined: Amazon's of the region. */
  readonly endpoint: string | undefined;
  readonly region: string | undefined;
  readonly pathStyle: boolean | undefined;
  /** undefined: from the environment and the files of other programs. */
  readonly key: { readonly id: string; readonly secret: string } | undefined;
}

/** @param path a schema that makes paths absolute */
export function createStoreSection(path: z.ZodType<string, string>) {
  return z.object({
    path: path.prefault('./cache-store'),
    url: textSchema((text) => formatBucketUrl(parseBucketUrl(parseLine(text)))).optional(),
    endpoint: textSchema(parseBaseUrl).optional(),
    region: textSchema(parseLine).optional(),
    'path-style': textSchema(parseBoolean).optional(),
    'access-key-id': textSchema(parseLine).optional(),
    'secret-access-key': textSchema(parseLine).optional(),
    'local-cache': path.optional(),
    'local-cache-size': textSchema(parseSize).optional(),
    'scrub-interval': textSchema(parseScrubInterval).optional(),
  });
}

type StoreValues = z.output<ReturnType<typeof createStoreSection>>;

const OF_BUCKET = [
  'endpoint',
  'region',
  'path-style',
  'access-key-id',
  'secret-access-key',
  'local-cache',
  'local-cache-size',
] as const;

/** @param defaultPath absolute; with a bucket nobody has to name another */
export function toStoreConfig(
  values: StoreValues,
  context: z.RefinementCtx,
  defaultPath: string,
): StoreConfig {
  const { path, url, endpoint, region } = values;
  const [id, secret] = [values['access-key-id'], values['secret-access-key']];
  if (url !== undefined && path !== defaultPath)
    addFault(context, 'path', 'there is also url, and they name two stores; remove one of them');
  for (const key of OF_BUCKET)
    if (url === undefined && values[key] !== undefined)
      addFault(context, key, 'is only for a store in a bucket; also set url = s3://BUCKET/PREFIX');
  if (id === undefined && secret !== undefined)
    addFault(context, 'secret-access-key', 'has no access-key-id; set both, or neither');
  if (id !== undefined && secret === undefined)
    addFault(context, 'access-key-id', 'has no secret-access-key; set both, or neither');
  const [folder, size] = [values['local-cache'], values['local-cache-size']];
  if (folder === undefined && size !== undefined)
    addFault(context, 'local-cache-size', 'has no local-cache; set both, or neither');
  const localCache = folder === undefined ? undefined : { folder, size: size ?? LOCAL_CACHE_SIZE };
  const key = id === undefined || secret === undefined ? undefined : { id, secret };
  const access = { endpoint, region, pathStyle: values['path-style'], key };
  return {
    path,
    bucket: url === undefined ? undefined : { url, access, localCache },
    scrubInterval: values['scrub-interval'],
  };
}

/** Bytes: a dozen large releases. */
const LOCAL_CACHE_SIZE = 10 * 1024 ** 3;
const SHORTEST_SCRUB_INTERVAL = 60_000;

function parseScrubInterval(text: string): number | undefined {
  if (text.trim().toLowerCase() === 'off') return undefined;
  const interval = parseDuration(text);
  if (interval < SHORTEST_SCRUB_INTERVAL) {
    throw new CacheError(
      'usage',
      'is shorter than a minute; write a duration such as 7d, or off for no checks',
    );
  }
  return interval;
}
