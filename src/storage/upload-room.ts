import { CacheError } from '../cache/errors.ts';
import { checkRoom, freeSpace, ROOM_CHECK_INTERVAL } from './free-space.ts';

/** Bytes that are reserved first, and at most, for who may not send what he announced. */
const FIRST_STEP = 64 * 1024;
const LARGEST_STEP = 8 * 1024 * 1024;

/** The free room of a disk, as the writers of one process share it. */
export interface Room {
  /**
   * Room for an object.
   * @param size in bytes, where it is known
   * @param holder on whose behalf it is written, where that is a client: he gets it in steps, as bytes come
   * @throws CacheError `no-space`
   */
  open(size: number | undefined, holder: string | undefined): Promise<RoomShare>;
}

export interface RoomShare {
  /** To be called before bytes are written. @throws CacheError `no-space` */
  readonly reserve: (bytes: number) => Promise<void>;
  /** To be called when they are: from now on the disk counts them. */
  readonly wrote: (bytes: number) => void;
  /** Gives back what isn't written; the object has its name now, or is gone. */
  readonly close: () => void;
}

/**
 * What is reserved and isn't written yet is counted as used. Nobody reserves ahead more than he has sent. When there is no
 * room, and a client holds more than half of what unfinished uploads and new ones share, his are refused from the next
 * byte on, until none of them is left: so one alone may use all of it, and never for long against others.
 * @param minFreeSpace bytes that stay free
 */
export function createRoom(root: string, minFreeSpace: number): Room {
  let reserved = 0;
  /** One after the other: what turns out to have no room must not count meanwhile for others. */
  let settled: Promise<unknown> = Promise.resolve();
  /** Bytes of each client's unfinished uploads, written or reserved. */
  const held = new Map<string, number>();
  const overdrawn = new Set<string>();

  const hold = (holder: string | undefined, bytes: number): void => {
    if (holder === undefined) return;
    const now = (held.get(holder) ?? 0) + bytes;
    if (now > 0) held.set(holder, now);
    else {
      held.delete(holder);
      overdrawn.delete(holder);
    }
  };

  const inTurn = <T>(act: () => Promise<T>): Promise<T> => {
    const acting = settled.then(act);
    settled = acting.catch(() => undefined);
    return acting;
  };

  const check = async (size: number, holder: string | undefined): Promise<void> => {
    if (holder !== undefined && overdrawn.has(holder)) throw overdrawnError(root);
    try {
      await checkRoom(root, size, minFreeSpace, { reserved });
    } catch (error) {
      const all = (await freeSpace(root)) - minFreeSpace - reserved + sumOf(held.values());
      for (const [other, bytes] of held)
        if (other !== holder && bytes > all / 2 && size <= all / 2) overdrawn.add(other);
      throw error;
    }
  };

  const reserveNow = (size: number, holder: string | undefined): Promise<number> =>
    inTurn(async () => {
      await check(size, holder);
      reserved += size;
      hold(holder, size);
      return size;
    });

  /** As much as there is of `most`, but `least`. */
  const reserveSome = async (least: number, most: number, holder: string | undefined): Promise<number> => {
    for (let size = most; ; size = Math.max(least, Math.floor(size / 2))) {
      try {
        return await reserveNow(size, holder);
      } catch (error) {
        if (!(error instanceof CacheError) || error.code !== 'no-space' || size === least) throw error;
      }
    }
  };

  return {
    async open(size, holder) {
      const isInSteps = size === undefined || holder !== undefined;
      let ahead = 0;
      let position = 0;
      let nextCheck = ROOM_CHECK_INTERVAL;
      let isClosed = false;
      const giveBack = (): void => {
        reserved -= ahead;
        hold(holder, -ahead);
        ahead = 0;
      };
      if (!isInSteps) ahead = await reserveNow(size, holder);
      else if (size !== undefined) await inTurn(() => check(size, holder));
      return {
        async reserve(bytes) {
          if (holder !== undefined && overdrawn.has(holder)) throw overdrawnError(root);
          if (isInSteps && bytes > ahead) {
            giveBack();
            const left = (size ?? Infinity) - position;
            const step = Math.min(Math.max(position, FIRST_STEP), LARGEST_STEP, left);
            ahead = await reserveSome(bytes, Math.max(bytes, step), holder);
            // It was given up while it waited.
            if (isClosed) giveBack();
          } else if (!isInSteps && position >= nextCheck) {
            nextCheck = position + ROOM_CHECK_INTERVAL;
            await checkRoom(root, 0, minFreeSpace);
          }
        },
        wrote(bytes) {
          position += bytes;
          const expected = Math.min(bytes, ahead);
          ahead -= expected;
          reserved -= expected;
          if (!isClosed) hold(holder, bytes - expected);
        },
        close() {
          if (isClosed) return;
          isClosed = true;
          giveBack();
          hold(holder, -position);
        },
      };
    },
  };
}

function overdrawnError(root: string): CacheError {
  return new CacheError(
    'no-space',
    `no room in ${root}: others need some of what this client's uploads under way take, which is more than half`,
  );
}

function sumOf(numbers: Iterable<number>): number {
  let sum = 0;
  for (const number of numbers) sum += number;
  return sum;
}
