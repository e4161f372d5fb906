import { createGzipWorkers } from './gzip-workers.ts';

/**
 * Bytes that go into a member: small enough to keep all cores busy, large enough that what is lost at the borders is
 * less than a thousandth.
 */
const MEMBER_SIZE = 2 * 1024 * 1024;

/**
 * Compresses with all cores: a row of gzip members, which every program reads as one file (RFC 1952, 2.2). How the
 * bytes come in pieces makes no difference to the result. Pieces of `source` may be reused once the next is asked for.
 */
export async function* gzipMembers(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const workers = createGzipWorkers();
  const ahead: Promise<Uint8Array>[] = [];
  try {
    for await (const block of blocksOf(source)) {
      const compressing = workers.compress(block);
      // Its turn to be waited for comes later.
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

/** The same bytes in pieces of `MEMBER_SIZE`, and a shorter one at the end; at least one, be it empty. */
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
  // A copy, because a part of a buffer would be handed over with all of it.
  yield block.slice(0, filled);
}
