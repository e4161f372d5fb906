import type { BlobWriter } from '../cache/blobs.ts';
import { createHasher } from '../cache/digest.ts';

/** A writer that only hashes. */
export function hashOnly(): BlobWriter {
  const hasher = createHasher();
  let size = 0;
  return {
    write: (chunks) => {
      for (const chunk of chunks) {
        size += chunk.byteLength;
        hasher.update(chunk);
      }
      return Promise.resolve();
    },
    commit: () => Promise.resolve({ digest: hasher.digest(), size }),
    abort: () => Promise.resolve(),
  };
}
