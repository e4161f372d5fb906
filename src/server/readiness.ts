import { CacheError, messageOf } from '../cache/errors.ts';
import { STORE_FILE } from '../cache/layout.ts';
import type { Store } from '../cache/store.ts';
import type { Readiness, ReadyFault } from '../http/health.ts';

export interface ReadinessOptions {
  readonly store: Store;
  /** Whether some client may upload: then the store must be writable. */
  readonly takesUploads: boolean;
  /** Faults of certificates now. */
  readonly certificates: () => Readiness;
  /** Whether the upstream answers; omitted without one. @throws CacheError */
  readonly askUpstream?: (() => Promise<unknown>) | undefined;
  /** Receives the error behind a new reason or warning, which may contain paths, and that one is over. */
  readonly onFault: (message: string) => void;
}

/** Checks in the background whether the server is ready. */
export interface ReadinessCheck {
  readonly now: () => Readiness;
  /** Bytes that fit into the store beside the reserve; undefined if it has no limit, or is not known. */
  readonly room: () => number | undefined;
  start(): void;
  stop(): void;
}

/** Milliseconds between two checks. */
const CHECK_MS = 1000;
/** Milliseconds after which a disk that does not answer is a reason. */
const HUNG_MS = 5000;
/** Every so many checks, a byte is written: more often would keep disks from resting. */
const WRITE_EVERY = 10;
/** Every so many checks, the upstream is asked. */
const UPSTREAM_EVERY = 60;

const STARTING: Readiness = {
  reasons: [{ code: 'starting', reason: 'the first check has not ended yet' }],
  warnings: [],
};

export function createReadiness({
  store,
  takesUploads,
  certificates,
  askUpstream,
  onFault,
}: ReadinessOptions): ReadinessCheck {
  let count = 0;
  let begun: number | undefined;
  let isChecked = false;
  let room: number | undefined;
  let isAsking = false;
  const faults: Record<'read' | 'write' | 'room' | 'upstream', ReadyFault | undefined> = {
    read: undefined,
    write: undefined,
    room: undefined,
    upstream: undefined,
  };

  const note = (what: keyof typeof faults, fault: ReadyFault | undefined, error?: unknown): void => {
    const before = faults[what];
    if (fault !== undefined && before?.code !== fault.code) onFault(`${fault.reason}: ${messageOf(error)}`);
    else if (fault === undefined && before !== undefined) onFault(`no longer: ${before.reason}`);
    faults[what] = fault;
  };

  const attempt = async (
    what: 'read' | 'write' | 'room' | 'upstream',
    fault: ReadyFault,
    act: () => Promise<unknown>,
  ): Promise<void> => {
    try {
      await act();
      note(what, undefined);
    } catch (error) {
      const isFull = error instanceof CacheError && error.code === 'no-space';
      note(what, isFull ? FULL : fault, error);
    }
  };

  const check = async (): Promise<void> => {
    begun = performance.now();
    await attempt('read', UNREADABLE, () => store.storage.stat(STORE_FILE));
    await attempt('room', UNREADABLE, async () => {
      room = await store.room?.();
      await store.checkRoom(0);
    });
    if (takesUploads && count % WRITE_EVERY === 1)
      await attempt('write', NOT_WRITABLE, () => writeByte(store));
    begun = undefined;
    isChecked = true;
  };

  const tick = (): void => {
    count++;
    if (begun === undefined) void check();
    if (askUpstream !== undefined && !isAsking && count % UPSTREAM_EVERY === 1) {
      isAsking = true;
      void attempt('upstream', NO_UPSTREAM, askUpstream).finally(() => (isAsking = false));
    }
  };

  let timer: NodeJS.Timeout | undefined;
  return {
    now() {
      const { reasons, warnings } = certificates();
      const isHung = begun !== undefined && performance.now() - begun > HUNG_MS;
      if (!isChecked && !isHung) return STARTING;
      const { read, write, room: full, upstream } = faults;
      const found = [isHung ? HUNG : read, takesUploads ? (write ?? full) : undefined];
      const told = [takesUploads ? undefined : full, upstream];
      return {
        reasons: [...found.filter((fault) => fault !== undefined), ...reasons],
        warnings: [...told.filter((fault) => fault !== undefined), ...warnings],
      };
    },
    // The room of a store that is away is that of another disk.
    room: () => (faults.read === undefined ? room : undefined),
    start() {
      tick();
      timer ??= setInterval(tick, CHECK_MS).unref();
    },
    stop: () => {
      clearInterval(timer);
    },
  };
}

const UNREADABLE: ReadyFault = { code: 'storage', reason: 'the store cannot be read' };
const HUNG: ReadyFault = { code: 'storage', reason: 'the store does not answer' };
const NOT_WRITABLE: ReadyFault = { code: 'not-writable', reason: 'the store cannot be written to' };
const FULL: ReadyFault = { code: 'no-room', reason: 'the store has no room beside its reserve' };
const NO_UPSTREAM: ReadyFault = { code: 'upstream', reason: 'the upstream does not answer' };

/** Writes a byte that never becomes an object. */
async function writeByte({ storage }: Store): Promise<void> {
  const writer = await storage.create(1);
  try {
    await writer.write([Buffer.alloc(1)]);
  } finally {
    await writer.abort();
  }
}
