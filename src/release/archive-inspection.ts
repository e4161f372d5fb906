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
 * Unpacked bytes for each byte of an archive. Software releases need three to ten; gzip can reach 1000, xz 7000, bzip2 a
 * million. A small archive may always unpack to `SMALL_SIZE` bytes, which takes a second or two.
 */
const RATIO_LIMIT = 100;
const SMALL_SIZE = 256 * 1024 * 1024;

/** Looks into an archive while its bytes pass by, and keeps none of them. */
export interface ArchiveInspector {
  /**
   * Resolves when the inspector wants more; the caller may reuse `chunk` after that. One call at a time.
   * @throws CacheError `invalid-archive`, `unsupported-archive`: the fault, without the file's name; the inspector is
   * released then, and every further call throws the same. `incomplete` after `abort()`.
   */
  write(chunk: Uint8Array): Promise<void>;
  /** What the bytes so far say about the release. */
  glimpse(): Promise<ReleaseGlimpse>;
  /** Call it after the last byte. @throws CacheError as `write` does */
  end(): Promise<ArchiveContents>;
  /** Releases everything without a result. Safe at any time, also repeatedly and after errors. */
  abort(): void;
}

/**
 * Inspects an archive in full: decompresses every byte and walks over the whole tar. A fault in a compressed tar is thrown
 * after the last byte only, because damage of the compressed data is the usual cause and the better message.
 * @param size bytes of the whole archive; they limit the unpacked bytes
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
