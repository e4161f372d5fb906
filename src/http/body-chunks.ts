import type { IncomingMessage } from 'node:http';

/** Bytes of one request that may wait to be taken; then its client waits. */
const WAITING_LIMIT = 512 * 1024;
/** Chunks that may wait: each takes memory of its own, however small it is. As many as one system call writes. */
const WAITING_CHUNKS = 1024;

/**
 * The body of a request as it arrives: each time, all chunks that came since the last. Whoever writes them to a disk
 * does so once for many, and no chunk is copied to be joined with others. Nothing is read before the first is asked for,
 * then no further ahead than the limits; what comes after it was left is nobody's.
 * @throws the connection's error when it breaks
 */
export async function* bodyChunks(incoming: IncomingMessage): AsyncGenerator<readonly Buffer[]> {
  let waiting: Buffer[] = [];
  let size = 0;
  const state: { isWhole: boolean; fault?: Error; wake?: () => void } = { isWhole: false };

  const onData = (chunk: Buffer): void => {
    waiting.push(chunk);
    size += chunk.length;
    if (size >= WAITING_LIMIT || waiting.length >= WAITING_CHUNKS) incoming.pause();
    state.wake?.();
  };
  const onEnd = (): void => {
    state.isWhole = true;
    state.wake?.();
  };
  const onError = (error: Error): void => {
    state.fault ??= error;
    state.wake?.();
  };
  // Without an 'error' before it, where the client had gone before anybody listened.
  const onClose = (): void => {
    onError(new Error('closed before its end'));
  };
  incoming.on('data', onData).once('end', onEnd).once('error', onError).once('close', onClose);
  try {
    if (incoming.destroyed) onClose();
    for (;;) {
      if (waiting.length === 0 && !state.isWhole && state.fault === undefined) {
        incoming.resume();
        await new Promise<void>((resolve) => (state.wake = resolve));
      }
      if (waiting.length === 0) {
        if (state.isWhole) return;
        if (state.fault !== undefined) throw state.fault;
      }
      const chunks = waiting;
      waiting = [];
      size = 0;
      incoming.resume();
      yield chunks;
    }
  } finally {
    incoming.off('data', onData).off('end', onEnd).off('error', onError).off('close', onClose);
    // Not destroyed: a refusal needs the connection for its answer.
    if (!state.isWhole) incoming.pause();
  }
}
