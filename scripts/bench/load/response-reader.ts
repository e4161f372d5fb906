/** Finds out where answers with a Content-Length begin and end; their bodies are not kept. */
export interface ResponseReader {
  /** @throws Error when an answer is neither 200 nor 206, or tells no length */
  take(bytes: Buffer): void;
}

/** @param onAnswered called when an answer has come in full */
export function createResponseReader(onAnswered: () => void): ResponseReader {
  let head = '';
  /** Bytes of the body that are still to come; undefined while the head is read. */
  let missing: number | undefined;

  return {
    take(bytes) {
      let rest = bytes.length;
      if (missing === undefined) {
        head += bytes.toString('latin1', 0, Math.min(bytes.length, 16 * 1024));
        const end = head.indexOf('\r\n\r\n');
        if (end === -1) return;
        missing = lengthOf(head);
        // What stood in the head before these bytes came was counted then.
        rest = bytes.length - (end + 4 - (head.length - Math.min(bytes.length, 16 * 1024)));
        head = '';
      }
      missing -= rest;
      if (missing > 0) return;
      missing = undefined;
      onAnswered();
    },
  };
}

function lengthOf(head: string): number {
  const [, status] = /^HTTP\/1\.1 (\d+)/.exec(head) ?? [];
  const [, length] = /^content-length: *(\d+)/im.exec(head) ?? [];
  if ((status !== '200' && status !== '206') || length === undefined)
    throw new Error(`unexpected answer: ${head.split('\r\n', 1)[0] ?? ''}`);
  return Number(length);
}
