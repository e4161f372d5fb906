import { createGzipWorkers } from './gzip-workers.ts';

/** Bytes of a member: small enough to keep all cores busy, large enough to lose less than a thousandth of compression. */
const MEMBER_SIZE = 2 * 1024 * 1024;

/**
 * Compresses with all cores into gzip members, which every program reads as one file (RFC 1952, 2.2). The result doesn't
 * depend on the size of the pieces of `source`. A piece may be reused once the next is requested.
 */
export async function* gzipMembers(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const workers = createGzipWorkers();
  const ahead: Promise<Uint8Array>[] = [];
  try {
    for await (const block of blocksOf(source)) {
      const compressing = workers.compress(block);
      // It is awaited later.
      compressing.catch(() => undefined);
      ahead.push(compressing);
      const next = ahead.length > workers.atOnce ? ahead.shift() : undefined;
      if (next !== undefined) yield await next;
    }
    for (const compressing of ahead) yield await compressing;
  } finally {
    await workers.close();
  }
}

/** The same bytes in pieces of `MEMBER_SIZE`; the last one may be shorter, or empty. */
async function* blocksOf(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  let block = new Uint8Array(MEMBER_SIZE);
  let filled = 0;
  for await (const piece of source) {
    for (let start = 0; start < piece.length;) {
      if (filled === MEMBER_SIZE) {
        yield block;
        block = new Uint8Array(MEMBER_SIZE);
        filled = 0;
      }
      const taken = piece.subarray(start, start + MEMBER_SIZE - filled);
      block.set(taken, filled);
      filled += taken.length;
      start += taken.length;
    }
  }
  // A copy: transferring a part of a buffer transfers all of it.
  yield block.slice(0, filled);
}
