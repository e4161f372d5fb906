import { createGunzip, type Gunzip } from 'node:zlib';
import { CacheError, systemCode } from '../cache/errors.ts';
import {
  corruptCompression,
  cutOffCompression,
  garbageAfterCompression,
  inspectionStopped,
} from './compression-fault.ts';
import type { Decompressor, Sink } from './decompressor.ts';

/** Bytes of output at a time: twice as fast as with zlib's default of 16 KiB. */
const OUTPUT_SIZE = 1024 * 1024;
/**
 * Padded files that were joined have a few paddings. Each needs a new decompressor: 20 MB of padded empty members took
 * 89 s.
 */
const PADDINGS_LIMIT = 1000;

/** Decompresses gzip: one member or several, with zeros after each, as Python's gzip module reads it. */
export function createGzipDecompressor(sink: Sink): Decompressor {
  let series: MemberSeries | undefined = openSeries(sink);
  let paddings = 0;
  let aborted = false;

  async function write(bytes: Uint8Array): Promise<void> {
    for (let rest = bytes; rest.length > 0;) {
      if (aborted) throw inspectionStopped();
      if (series === undefined) {
        const next = rest.findIndex((byte) => byte !== 0);
        if (next === -1) return;
        rest = rest.subarray(next);
        if (++paddings > PADDINGS_LIMIT) throw tooManyPaddings();
        series = openSeries(sink);
      }
      const consumed = await series.write(rest);
      if (consumed < rest.length) {
        series.abort();
        series = undefined;
      }
      rest = rest.subarray(consumed);
    }
  }

  async function end(): Promise<void> {
    if (aborted) throw inspectionStopped();
    await series?.end();
  }

  function abort(): void {
    aborted = true;
    series?.abort();
  }

  return { write, end, abort };
}

/** Members without padding between them. */
interface MemberSeries {
  /** Returns how many of the bytes it took: fewer than all if zeros follow a member. */
  write(bytes: Uint8Array): Promise<number>;
  end(): Promise<void>;
  abort(): void;
}

function openSeries(sink: Sink): MemberSeries {
  const gunzip = createGunzip({ chunkSize: OUTPUT_SIZE });
  const ended = new Promise<void>((resolve) => gunzip.once('end', resolve));
  let fault: unknown;
  let reject: ((reason: unknown) => void) | undefined;
  const fail = (reason: unknown): void => {
    fault ??= reason;
    reject?.(fault);
  };
  gunzip.on('data', (bytes: Buffer) => {
    // Deferred, so that zlib inflates the next piece while the sink works.
    queueMicrotask(() => {
      if (fault === undefined) sink(bytes);
    });
  });
  gunzip.on('error', (error) => {
    fail(faultOf(error));
  });

  /** Runs one step; a failure of the stream rejects it. */
  function step<T>(run: (resolve: (value: T) => void) => void): Promise<T> {
    return new Promise<T>((resolve, rejectStep) => {
      reject = rejectStep;
      if (fault === undefined) run(resolve);
      else fail(fault);
    });
  }

  return {
    write: (bytes) =>
      step((resolve) => {
        writeTo(gunzip, bytes, ended, resolve);
      }),
    end: () =>
      step((resolve) => {
        gunzip.end();
        void ended.then(resolve);
      }),
    abort() {
      fail(inspectionStopped());
      gunzip.destroy();
    },
  };
}

function writeTo(
  gunzip: Gunzip,
  bytes: Uint8Array,
  ended: Promise<void>,
  resolve: (consumed: number) => void,
): void {
  const before = gunzip.bytesWritten;
  gunzip.write(bytes, (error) => {
    // The 'error' event has the reason.
    if (error) return;
    const consumed = gunzip.bytesWritten - before;
    if (consumed === bytes.length) resolve(consumed);
    // The sink must have all data of a member before the next one starts.
    else
      void ended.then(() => {
        resolve(consumed);
      });
  });
}

function faultOf(error: Error): Error {
  const code = systemCode(error);
  if (code === 'Z_BUF_ERROR') return cutOffCompression('gzip', error);
  // The first member's magic bytes were right, so this is behind a member.
  if (error.message === 'incorrect header check') return garbageAfterCompression('gzip', error);
  if (code === 'Z_DATA_ERROR' || code === 'Z_NEED_DICT') return corruptCompression('gzip', error);
  // Too little memory, or a fault of this program, but none of the archive.
  return error;
}

function tooManyPaddings(): CacheError {
  return new CacheError(
    'invalid-archive',
    `zeros stand between its gzip members in more than ${PADDINGS_LIMIT} places; no program writes this, pack it again`,
  );
}
