import type { Blobs } from '../../../src/cache/blobs.ts';
import type { Digest } from '../../../src/cache/digest.ts';
import type { Directory } from '../../../src/cache/directory.ts';
import { keyOfSoftwareUrl, type Key } from '../../../src/cache/key.ts';
import type { Signer } from '../../../src/cache/signature.ts';
import { pseudoRandom } from './pseudo-random.ts';

/** A release of the store: its entry is signed, its blob is there. */
export interface BenchRelease {
  readonly url: string;
  readonly key: Key;
  readonly sha512: Digest;
}

/** Bytes of the blob of each release; those that are downloaded for speed are others. */
const BLOB_SIZE = 16 * 1024;
/** Releases written at the same time: each waits for the disk a few times. */
const WRITERS = 16;

/** Puts `count` releases into a store. */
export async function addReleases(
  { blobs, directory }: { readonly blobs: Blobs; readonly directory: Directory },
  signer: Signer,
  count: number,
  signal: AbortSignal,
): Promise<readonly BenchRelease[]> {
  const releases: BenchRelease[] = [];
  for (let first = 0; first < count; first += WRITERS) {
    signal.throwIfAborted();
    const numbers = Array.from({ length: Math.min(WRITERS, count - first) }, (_, index) => first + index);
    releases.push(...(await Promise.all(numbers.map(add))));
  }
  return releases;

  async function add(number: number): Promise<BenchRelease> {
    const url = `https://lab.nexedi.com/nexedi/slapos/raw/1.0.${number}/software/bench/software.cfg`;
    const key = keyOfSoftwareUrl(url);
    const { digest: sha512, size } = await writeBlob(blobs, url, BLOB_SIZE);
    const members = {
      sha512,
      software_url: url,
      software_root: '/opt/slapgrid',
      multiarch: 'x86_64-linux-gnu',
      os: ['ubuntu', '22.04', 'jammy'],
      file: `bench-1.0.${number}-ubuntu-22.04.tar.gz`,
      size,
      creation_date: new Date().toISOString(),
    };
    await directory.add(key, signer.sign(JSON.stringify(members)));
    return { url, key, sha512 };
  }
}

/** Puts a blob of `size` pseudo-random bytes into a store. */
export async function writeBlob(
  blobs: Blobs,
  seed: string,
  size: number,
): Promise<{ readonly digest: Digest; readonly size: number }> {
  const writer = await blobs.create({ size });
  try {
    for (const piece of pseudoRandom(seed, size)) await writer.write([piece]);
    return await writer.commit();
  } finally {
    await writer.abort();
  }
}
