import { createHasher, type Digest } from '../../src/cache/digest.ts';
import type { UploadTarget } from '../../src/cache/source.ts';
import { createUpstream, type UpstreamOptions } from '../../src/upstream/client.ts';

/** As patient as a test can be. */
export const HASTY = { attempts: 3, firstDelay: 1 };

/** A cache with its blobs at `/bcache` and its directory at `/bdir`. */
export function upstreamOf(base: string, options: UpstreamOptions = {}): UploadTarget {
  return createUpstream(
    { directory: `${base}/bdir`, blobs: `${base}/bcache` },
    { patience: HASTY, ...options },
  );
}

/** The sha512 of all bytes of a blob that came; undefined when it isn't there. */
export async function download(upstream: UploadTarget, digest: Digest): Promise<Digest | undefined> {
  const blob = await upstream.openBlob(digest);
  if (blob === undefined) return undefined;
  const hasher = createHasher();
  try {
    for await (const piece of blob.pieces) hasher.update(piece);
  } finally {
    await blob.close();
  }
  return hasher.digest();
}
