import { randomBytes } from 'node:crypto';
import { CacheError } from '../cache/errors.ts';
import { readWhole } from '../cache/object-pieces.ts';
import type { ObjectWriter } from '../cache/object-storage.ts';
import type { S3Bucket, S3Part } from './s3-bucket.ts';
import { openS3Object } from './s3-reader.ts';
import { TEMPORARY } from './store-folder.ts';
import { ownerTag } from './temporary-name.ts';

/** Bytes of the parts of an upload. Two are in memory: one is sent while the next is filled. */
const PART = 16 * 1024 * 1024;
const LARGEST_PART = 2 * PART;
/** S3 takes no more. */
const MOST_PARTS = 10_000;

/**
 * Begins an object, which is one request if it fits in a part. A larger one is uploaded in parts under a temporary name,
 * because its own is known only at the end, and then copied within the object store.
 * @param size in bytes, if known
 * @throws CacheError `too-large`
 */
export function createS3Writer(bucket: S3Bucket, size: number | undefined): ObjectWriter {
  const partSize = partSizeOf(size);
  let buffer: Buffer = Buffer.alloc(0);
  let filled = 0;
  /** The part that is being sent, and the buffer of the one before. */
  let sending: Promise<void> = Promise.resolve();
  let idle: Buffer | undefined;
  let upload: { readonly name: string; readonly id: string } | undefined;
  let state: 'open' | 'complete' | 'committed' | 'aborted' = 'open';
  const parts: S3Part[] = [];
  let sent = 0;

  /** Makes room in the buffer. */
  const makeRoom = async (): Promise<void> => {
    if (filled < buffer.length) return;
    if (filled < partSize) {
      // Memory that is not written to takes no room.
      const larger = Buffer.allocUnsafeSlow(
        filled === 0 ? Math.min(partSize, size ?? partSize) || 1 : partSize,
      );
      buffer.copy(larger);
      buffer = larger;
      return;
    }
    await sendPart();
  };

  const sendPart = async (): Promise<void> => {
    if (upload === undefined) {
      const name = `${TEMPORARY}/${ownerTag()}.${randomBytes(9).toString('hex')}`;
      upload = { name, id: await bucket.beginUpload(name) };
    }
    await sending;
    const number = parts.length + 1;
    if (number > MOST_PARTS) throw tooLarge(bucket);
    const [full, bytes, to] = [buffer, buffer.subarray(0, filled), upload];
    sent += filled;
    const next = idle ?? Buffer.allocUnsafeSlow(partSize);
    idle = full;
    buffer = next;
    filled = 0;
    sending = bucket.uploadPart(to, number, bytes).then((part) => void parts.push(part));
    // Reported by the next call.
    sending.catch(() => undefined);
  };

  return {
    async write(chunks) {
      for (const chunk of chunks) {
        for (let start = 0; start < chunk.byteLength;) {
          await makeRoom();
          const count = Math.min(chunk.byteLength - start, buffer.length - filled);
          buffer.set(chunk.subarray(start, start + count), filled);
          filled += count;
          start += count;
        }
      }
    },

    async commit(name) {
      if (upload === undefined) {
        await bucket.put(name, buffer.subarray(0, filled));
        state = 'committed';
        return;
      }
      if (filled > 0) await sendPart();
      await sending;
      await bucket.completeUpload(upload, parts, sent);
      state = 'complete';
      const found = await bucket.head(upload.name);
      if (found?.size !== sent || !(await bucket.copy(upload.name, name, sent)))
        throw new CacheError(
          'storage',
          `can't write ${name} of ${bucket.url}: ${sent} bytes were sent, and ${found?.size ?? 'none'} are there`,
        );
      state = 'committed';
      await bucket.remove(upload.name);
    },

    async commitNew(name) {
      if (upload !== undefined) throw tooLarge(bucket);
      const bytes = buffer.subarray(0, filled);
      // An attempt may have succeeded although its answer was lost.
      const isNew = (await bucket.put(name, bytes, true)) || (await hasBytes(bucket, name, bytes));
      if (isNew) state = 'committed';
      return isNew;
    },

    async abort() {
      if (state === 'committed' || state === 'aborted') return;
      const wasComplete = state === 'complete';
      state = 'aborted';
      await sending.catch(() => undefined);
      [buffer, idle] = [Buffer.alloc(0), undefined];
      if (upload === undefined) return;
      await (wasComplete ? bucket.remove(upload.name) : bucket.abortUpload(upload));
    },
  };
}

async function hasBytes(bucket: S3Bucket, name: string, bytes: Buffer): Promise<boolean> {
  const object = await openS3Object(bucket, name);
  if (object === undefined) return false;
  try {
    return object.size === bytes.length && (await readWhole(object)).equals(bytes);
  } finally {
    await object.close();
  }
}

function partSizeOf(size = 0): number {
  const needed = Math.ceil(size / MOST_PARTS);
  if (needed > LARGEST_PART) throw tooLarge();
  return needed > PART ? LARGEST_PART : PART;
}

function tooLarge(bucket?: S3Bucket): CacheError {
  const where = bucket === undefined ? 'a bucket' : bucket.url;
  return new CacheError(
    'too-large',
    `${where} takes no object of more than ${MOST_PARTS} parts of ${LARGEST_PART / 1024 ** 2} MiB`,
  );
}
