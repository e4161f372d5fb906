import { CacheError, shortReasonOf, UNDECODABLE } from '../cache/errors.ts';
import { openRegularFile } from '../files/small-file.ts';

/** Large, because a USB disk answers each request after a pause. */
const PIECE_SIZE = 1024 * 1024;

/**
 * The bytes of a file in order. Reads one piece ahead; a piece is valid until the next is requested.
 * @throws CacheError `invalid-archive`: the file can't be read, which concerns this file only
 */
export async function* readFilePieces(path: string): AsyncGenerator<Uint8Array> {
  const buffers = [Buffer.allocUnsafeSlow(PIECE_SIZE), Buffer.allocUnsafeSlow(PIECE_SIZE)] as const;
  try {
    const file = await openRegularFile(path);
    try {
      let reading = file.read(buffers[0], 0, PIECE_SIZE);
      for (let turn = 1; ; turn++) {
        const { bytesRead, buffer } = await reading;
        if (bytesRead === 0) return;
        const next = file.read(buffers[turn % 2 === 0 ? 0 : 1], 0, PIECE_SIZE);
        // The next piece may fail meanwhile; the next turn reports it.
        next.catch(() => undefined);
        reading = next;
        yield buffer.subarray(0, bytesRead);
      }
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof CacheError) throw error;
    const reason = shortReasonOf(error);
    throw new CacheError(
      'invalid-archive',
      reason === UNDECODABLE ? reason : `can't be read (${reason}); is the medium all right?`,
      { cause: error },
    );
  }
}
