import { detectCompression, HEAD_SIZE, type Compression } from './compression.ts';
import { inspectionStopped, tooDense } from './compression-fault.ts';
import type { Decompressor, Sink } from './decompressor.ts';
import { createExternalDecompressor } from './external-decompressor.ts';
import { createGzipDecompressor } from './gunzip.ts';
import { createReleaseReader, type ReleaseContents, type ReleaseGlimpse } from './release-contents.ts';
import { createTarWalker } from './tar-walker.ts';
import { ownZerosOfBzip2, ownZerosOfXz, withoutTrailingZeros } from './trailing-zeros.ts';

export interface ArchiveContents extends ReleaseContents {
  readonly compression: Compression;
}

/**
 * How many bytes one of the archive may stand for; compiled software releases unpack to three to ten times their size. gzip can
 * reach 1000, xz 7000, bzip2 a million. Small ones may unpack to the other, in bytes, which takes a second or two.
 */
const RATIO_LIMIT = 100;
const SMALL_SIZE = 256 * 1024 * 1024;

/** Looks into an archive while its bytes pass by, and keeps none of them. */
export interface ArchiveInspector {
  /**
   * Resolves when the inspector wants more; the caller may reuse `chunk` after that. One call at a time.
   * @throws CacheError `invalid-archive`, `unsupported-archive`: what is wrong, without the file's name; after
   * that nothing is left to release, and every further call throws the same. `incomplete` after `abort()`.
   */
  write(chunk: Uint8Array): Promise<void>;
  /** What the bytes up to now tell; for those who don't want to look at all of them. */
  glimpse(): Promise<ReleaseGlimpse>;
  /** To be called after the last byte. @throws CacheError as `write` does */
  end(): Promise<ArchiveContents>;
  /** Releases everything without a result. Safe to call always, repeatedly, after errors. */
  abort(): void;
}

/**
 * Inspects an archive in full: every byte is decompressed and the whole tar is walked. A compressed archive with a
 * fault in its tar is refused only after its last byte, so that damage of the compressed data, the reason for most
 * such faults, is what the message tells.
 * @param size bytes of the whole archive, which tell what it may unpack to
 */
export function createArchiveInspector(size: number): ArchiveInspector {
  const unpackedLimit = Math.max(SMALL_SIZE, RATIO_LIMIT * size);
  let unpacked = 0;
  const release = createReleaseReader();
  const tar = createTarWalker(release);
  let head = Buffer.alloc(0);
  let opened: { readonly compression: Compression; readonly decompressor: Decompressor } | undefined;
  let tarFault: Fault | undefined;
  let fault: Fault | undefined;

  const walk: Sink = (bytes) => {
    unpacked += bytes.length;
    if (unpacked > unpackedLimit) stop(tooDense(unpackedLimit));
    if (fault !== undefined || tarFault !== undefined) return;
    try {
      tar.write(bytes);
    } catch (error) {
      tarFault = { error };
    }
  };

  async function open(): Promise<Compression> {
    const compression = detectCompression(head.subarray(0, HEAD_SIZE));
    opened = { compression, decompressor: createDecompressor(compression, walk) };
    const bytes = head;
    head = Buffer.alloc(0);
    await opened.decompressor.write(bytes);
    return compression;
  }

  async function take(chunk: Uint8Array): Promise<void> {
    if (opened !== undefined) {
      await opened.decompressor.write(chunk);
    } else {
      head = Buffer.concat([head, chunk]);
      if (head.length >= HEAD_SIZE) await open();
    }
    if (opened?.compression === 'none') throwFault(tarFault);
  }

  async function finish(): Promise<ArchiveContents> {
    const compression = opened?.compression ?? (await open());
    await opened?.decompressor.end();
    throwFault(tarFault);
    tar.end();
    return { compression, ...release.result() };
  }

  function stop(error: unknown): void {
    fault ??= { error };
    opened?.decompressor.abort();
  }

  async function guard<T>(run: () => Promise<T>): Promise<T> {
    throwFault(fault);
    try {
      return await run();
    } catch (error) {
      stop(error);
      throw fault?.error ?? error;
    }
  }

  return {
    write: (chunk) => guard(() => take(chunk)),
    glimpse: () => Promise.resolve(release.glimpse()),
    end: () => guard(finish),
    abort: () => {
      stop(inspectionStopped());
    },
  };
}

interface Fault {
  readonly error: unknown;
}

function throwFault(fault: Fault | undefined): void {
  if (fault !== undefined) throw fault.error;
}

function createDecompressor(compression: Compression, sink: Sink): Decompressor {
  switch (compression) {
    case 'none':
      return {
        write(bytes) {
          sink(bytes);
          return Promise.resolve();
        },
        end: () => Promise.resolve(),
        abort: () => undefined,
      };
    case 'gzip':
      return createGzipDecompressor(sink);
    case 'bzip2':
      return withoutTrailingZeros(createExternalDecompressor('bzip2', sink), ownZerosOfBzip2);
    case 'xz':
      return withoutTrailingZeros(createExternalDecompressor('xz', sink), ownZerosOfXz);
  }
}
