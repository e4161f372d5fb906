import { parseBucketUrl } from '../cache/bucket-url.ts';
import { STORE_FILE } from '../cache/layout.ts';
import { readWhole } from '../cache/object-pieces.ts';
import { createS3Bucket, type S3Access, type S3Bucket } from './s3-bucket.ts';
import { openS3Object } from './s3-reader.ts';
import { createS3Storage } from './s3.ts';
import { createS3Upkeep } from './s3-upkeep.ts';
import { DamagedMark, hasMark, NoStore, othersUnlessStore, parseMark } from './store-folder.ts';
import type { StorePlace } from './store-place.ts';

/** Bytes; a mark is shorter. */
const MARK_LIMIT = 64 * 1024;
/** Names that are looked at where no store is. */
const NAMES_LIMIT = 1000;
/** Milliseconds for which a store that was there counts as there. */
const PRESENT_MS = 1000;

/** A bucket, or a prefix in it, as the place of a store. @throws CacheError `usage`: no URL of a bucket */
export function createS3Place(url: string, access: S3Access): StorePlace {
  const bucket = createS3Bucket(parseBucketUrl(url), access);
  const name = bucket.url;

  const checkIsStore = async (): Promise<void> => {
    const others = othersUnlessStore(await namesIn(bucket));
    if (others === undefined) return;
    throw new NoStore(
      others === ''
        ? `there is no store at ${name}: it has no ${STORE_FILE}; is [store] url right?`
        : `${name} is not a store: it has no ${STORE_FILE}, but ${others}; is [store] url right?`,
    );
  };

  /** As for a folder, a miss counts only in a store that is there. */
  const checkIsThere = remembered(async () => {
    if ((await bucket.head(STORE_FILE)) === undefined) await checkIsStore();
  });

  const upkeep = createS3Upkeep(bucket);
  return {
    name,
    storage: createS3Storage(bucket, checkIsThere),
    upkeep,
    checkIsStore,
    async readFormat() {
      const object = await openS3Object(bucket, STORE_FILE);
      if (object === undefined) return undefined;
      try {
        const path = `${name}/${STORE_FILE}`;
        if (object.size > MARK_LIMIT) throw new DamagedMark(path, 'it is not JSON');
        return parseMark(path, (await readWhole(object)).toString('utf8'));
      } finally {
        await object.close();
      }
    },
    isMarked: async () => hasMark(name, await namesIn(bucket), 'prefix'),
    prepare: () => Promise.resolve(),
    async removeLeftovers() {
      for await (const path of upkeep.leftovers()) await upkeep.removeLeftover(path);
    },
    splitLimits: () => Promise.resolve(undefined),
    // An object store does not tell its free room.
    checkRoom: () => Promise.resolve(),
  };
}

async function namesIn(bucket: S3Bucket): Promise<readonly string[]> {
  const names: string[] = [];
  for await (const name of bucket.list('', true)) {
    names.push(name.replace(/\/$/, ''));
    if (names.length === NAMES_LIMIT) break;
  }
  return names;
}

/** Asks at most once in `PRESENT_MS`, whatever the load. */
function remembered(check: () => Promise<void>): () => Promise<void> {
  let until = -Infinity;
  let running: Promise<void> | undefined;
  const run = async (): Promise<void> => {
    try {
      await check();
      until = performance.now() + PRESENT_MS;
    } finally {
      running = undefined;
    }
  };
  return () => (performance.now() < until ? Promise.resolve() : (running ??= run()));
}
