import type { IncomingMessage } from 'node:http';

/** Bytes of one request that may wait to be taken; then its client waits. */
const WAITING_LIMIT = 512 * 1024;
/** Chunks that may wait: each takes memory of its own, however small it is. As many as one system call writes. */
const WAITING_CHUNKS = 1024;

/** How long is waited for a body's bytes in all, and how many come in that time at the least: 546 a second, about as Apache has it. */
const PATIENCE_MS = 120_000;
const LEAST_BYTES = 64 * 1024;

/** Who sends a byte a minute keeps a connection, a file and its room for ever. */
export class TooSlow extends Error {
  constructor() {
    super(`less than ${LEAST_BYTES / 1024} KiB came in ${PATIENCE_MS / 1000} s`);
  }
}

/**
 * The body of a request as it arrives: each time, all chunks that came since the last. Whoever writes them to a disk
 * does so once for many, and no chunk is copied to be joined with others. Nothing is read before the first is asked for,
 * then no further ahead than the limits; what comes after it was left is nobody's.
 * @throws the connection's error when it breaks; `TooSlow`
 */
export async function* bodyChunks(incoming: IncomingMessage): AsyncGenerator<readonly Buffer[]> {
  /** Milliseconds that may still be waited; what comes lengthens them. */
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
    // Not destroyed: a refusal needs the connection for its answer.
    if (!state.isWhole) incoming.pause();
  }
}
