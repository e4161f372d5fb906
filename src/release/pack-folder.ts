import { gzipMembers } from './gzip-members.ts';
import { createReleaseReader, type ReleaseContents } from './release-contents.ts';
import { readTar } from './tar-program.ts';
import { createTarWalker } from './tar-walker.ts';

/** An archive that is being made. */
export interface FolderPacking {
  /**
   * The bytes of the archive, a gzipped tar. To be taken once; whoever stops before the end releases everything by it.
   * @throws CacheError `invalid-archive`, `unsupported-archive`: it can't be packed, or nodes could not unpack it
   */
  readonly archive: AsyncIterable<Uint8Array>;
  /** What is in it; to be called after its last byte. @throws CacheError `invalid-archive` */
  contents(): ReleaseContents;
}

/**
 * Packs the folder of a software release. The tar is looked at on its way, as an import would do, so that nothing is made
 * that an import would refuse.
 * @param onRead is told of the tar's bytes as they come
 */
export function packFolder(folder: string, onRead: (bytes: number) => void): FolderPacking {
  const release = createReleaseReader();
  const walker = createTarWalker(release);

  async function* walked(): AsyncGenerator<Uint8Array> {
    for await (const piece of readTar(folder)) {
      walker.write(piece);
      onRead(piece.length);
      yield piece;
    }
    walker.end();
  }

  return { archive: gzipMembers(walked()), contents: () => release.result() };
}
