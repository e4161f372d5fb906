import type { IncomingMessage } from 'node:http';

/** Bytes of one request in memory; above, its client must wait. */
const WAITING_LIMIT = 512 * 1024;
/** Chunks of one request in memory, as even small ones take memory; one system call writes as many. */
const WAITING_CHUNKS = 1024;

/** A body must bring `LEAST_BYTES` in this time: 546 bytes a second, similar to Apache's default. */
const PATIENCE_MS = 120_000;
const LEAST_BYTES = 64 * 1024;

/** The error for a client that would hold a connection, a file and reserved space forever. */
export class TooSlow extends Error {
  constructor() {
    super(`less than ${LEAST_BYTES / 1024} KiB came in ${PATIENCE_MS / 1000} s`);
  }
}

/**
 * The body of a request: yields all chunks that came since the last time, so that one write to disk takes many, without
 * copies. Reads nothing before the first request, then no further ahead than the limits.
 * @throws the connection's error when it breaks; `TooSlow`
 */
export async function* bodyChunks(incoming: IncomingMessage): AsyncGenerator<readonly Buffer[]> {
  /** Milliseconds left to wait; received bytes add to them. */
  let patience = PATIENCE_MS;
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
  // There is no 'error' before it if the client had disconnected before this listened.
  const onClose = (): void => {
    onError(new Error('closed before its end'));
  };
  incoming.on('data', onData).once('end', onEnd).once('error', onError).once('close', onClose);
  try {
    if (incoming.destroyed) onClose();
    for (;;) {
      if (waiting.length === 0 && !state.isWhole && state.fault === undefined) {
        incoming.resume();
        const began = performance.now();
        const giveUp = setTimeout(() => {
          onError(new TooSlow());
        }, patience);
        await new Promise<void>((resolve) => (state.wake = resolve));
        clearTimeout(giveUp);
        patience -= performance.now() - began;
      }
      if (waiting.length === 0) {
        if (state.isWhole) return;
        if (state.fault !== undefined) throw state.fault;
      }
      const chunks = waiting;
      waiting = [];
      patience = Math.min(PATIENCE_MS, patience + (PATIENCE_MS * size) / LEAST_BYTES);
      size = 0;
      incoming.resume();
      yield chunks;
    }
  } finally {
    incoming.off('data', onData).off('end', onEnd).off('error', onError).off('close', onClose);
    // Not destroyed: a refusal still needs the connection.
    if (!state.isWhole) incoming.pause();
  }
}
