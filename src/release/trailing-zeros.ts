import type { Decompressor } from './decompressor.ts';

/** Returns how many of the zeros at the end of a file belong to its data, given the last bytes before them. */
export type OwnZeros = (tail: Buffer) => number;

/** Most bytes of the tail that `OwnZeros` gets. */
const TAIL_SIZE = 16;
const ZEROS = Buffer.alloc(64 * 1024);

/**
 * Strips the padding of zeros at the end of a file for a decompressor that would call it garbage. Python's tarfile ignores
 * it.
 */
export function withoutTrailingZeros(decompressor: Decompressor, ownZeros: OwnZeros): Decompressor {
  let zeros = 0;
  let tail = Buffer.alloc(0);

  async function writeZeros(count: number): Promise<void> {
    for (let left = count; left > 0; left -= ZEROS.length) {
      await decompressor.write(ZEROS.subarray(0, Math.min(left, ZEROS.length)));
    }
  }

  async function write(bytes: Uint8Array): Promise<void> {
    const length = bytes.findLastIndex((byte) => byte !== 0) + 1;
    if (length > 0) {
      await writeZeros(zeros);
      const kept = Buffer.concat([
        tail,
        ZEROS.subarray(0, Math.min(zeros, TAIL_SIZE)),
        bytes.subarray(Math.max(0, length - TAIL_SIZE), length),
      ]);
      tail = kept.subarray(-TAIL_SIZE);
      zeros = 0;
      await decompressor.write(bytes.subarray(0, length));
    }
    zeros += bytes.length - length;
  }

  async function end(): Promise<void> {
    await writeZeros(Math.min(zeros, ownZeros(tail)));
    await decompressor.end();
  }

  return {
    write,
    end,
    abort: () => {
      decompressor.abort();
    },
  };
}

/** An xz stream ends with the letters `YZ`. */
export function ownZerosOfXz(): number {
  return 0;
}

/** The 48 bits that begin the end of a bzip2 stream; a checksum of 32 bits and up to 7 bits of 0 follow. */
const BZIP2_FOOTER = 0x177245385090n;
const CHECKSUM_BITS = 32n;
const FOOTER_BITS = 48n;
const OWN_ZEROS_LIMIT = 5;

/**
 * The checksum may end with zero bytes. The footer, which may begin at any bit, distinguishes them from padding.
 */
export function ownZerosOfBzip2(tail: Buffer): number {
  const bits = BigInt(`0x0${Buffer.concat([tail, ZEROS.subarray(0, OWN_ZEROS_LIMIT)]).toString('hex')}`);
  for (let after = 0n; after < 8n * BigInt(OWN_ZEROS_LIMIT + 1); after += 1n) {
    const candidate = (bits >> (after + CHECKSUM_BITS)) & ((1n << FOOTER_BITS) - 1n);
    if (candidate === BZIP2_FOOTER) return OWN_ZEROS_LIMIT - Number(after / 8n);
  }
  return OWN_ZEROS_LIMIT;
}
