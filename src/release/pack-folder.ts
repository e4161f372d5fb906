import { gzipMembers } from './gzip-members.ts';
import { createReleaseReader, type ReleaseContents } from './release-contents.ts';
import { readTar } from './tar-program.ts';
import { createTarWalker } from './tar-walker.ts';

/** An archive while it is packed. */
export interface FolderPacking {
  /**
   * The bytes of the archive, a gzipped tar. Iterate once; ending the iteration early releases everything.
   * @throws CacheError `invalid-archive`, `unsupported-archive`: it can't be packed, or nodes couldn't unpack it
   */
  readonly archive: AsyncIterable<Uint8Array>;
  /** Call it after the last byte. @throws CacheError `invalid-archive` */
  contents(): ReleaseContents;
}

/**
 * Packs the folder of a software release. Inspects the tar meanwhile, so that no archive is made that an import would
 * refuse.
 * @param onRead is called with the number of bytes of each piece of the tar
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
