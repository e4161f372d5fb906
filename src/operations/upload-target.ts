import { CacheError, systemCode } from '../cache/errors.ts';
import type { SourceBlob, UploadTarget } from '../cache/source.ts';

/** The target has failed: that says nothing of the source. */
export class TargetFault extends CacheError {}

/** Nobody is at the target: that concerns every key. */
export class TargetAbsent extends TargetFault {}

/** The target, which is unavailable with a `TargetFault`. What it refuses is a matter of the entry. */
export function tellingFaults(target: UploadTarget): UploadTarget {
  const guarded = async <T>(ask: () => Promise<T>, isOfSource = () => false): Promise<T> => {
    try {
      return await ask();
    } catch (error) {
      if (!(error instanceof CacheError) || error.code !== 'unavailable' || isOfSource()) throw error;
      const Fault = isOfConnection(error) ? TargetAbsent : TargetFault;
      throw new Fault(error.code, `can't copy to ${target.name}: ${error.message}`, { cause: error });
    }
  };
  return {
    ...target,
    entries: (key) => guarded(() => target.entries(key)),
    blobSize: (digest) => guarded(() => target.blobSize(digest)),
    putEntry: (key, pair) => guarded(() => target.putEntry(key, pair)),
    putBlob(digest, open) {
      // While a blob is sent either side may fail.
      let isOfSource = false;
      const reading = async function* (pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
        try {
          yield* pieces;
        } catch (error) {
          isOfSource = true;
          throw error;
        }
      };
      const openBlob = async (): Promise<SourceBlob> => {
        isOfSource = true;
        const blob = await open();
        isOfSource = false;
        return { ...blob, pieces: reading(blob.pieces) };
      };
      return guarded(
        () => target.putBlob(digest, openBlob),
        () => isOfSource,
      );
    },
  };
}

/** Whether the system, rather than the other side, said what is wrong. */
function isOfConnection({ code, cause }: CacheError): boolean {
  if (code !== 'unavailable') return false;
  return cause instanceof CacheError ? isOfConnection(cause) : systemCode(cause) !== undefined;
}
