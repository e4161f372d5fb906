import { CacheError } from '../cache/errors.ts';
import { checkRoom, freeSpace, ROOM_CHECK_INTERVAL } from './free-space.ts';

/** Bytes of the first and the largest reservation for a client, which may send less than announced. */
const FIRST_STEP = 64 * 1024;
const LARGEST_STEP = 8 * 1024 * 1024;

/** The free room of a disk, shared by the writers of one process. */
export interface Room {
  /**
   * Reserves room for an object.
   * @param size in bytes, if known
   * @param holder the client that uploads it; a client gets room in steps, as bytes arrive
   * @throws CacheError `no-space`
   */
  open(size: number | undefined, holder: string | undefined): Promise<RoomShare>;
}

export interface RoomShare {
  /** To be called before bytes are written. @throws CacheError `no-space` */
  readonly reserve: (bytes: number) => Promise<void>;
  /** To be called after bytes are written: from now on the disk counts them. */
  readonly wrote: (bytes: number) => void;
  /** Gives back unwritten bytes when the upload ends. */
  readonly close: () => void;
}

/**
 * Counts reserved bytes as used; a client reserves no more ahead than it has sent. When room runs out, a client that
 * holds more than half of the uploads' room is refused until its uploads have ended: alone it may use all room.
 * @param minFreeSpace bytes that stay free
 */
export function createRoom(root: string, minFreeSpace: number): Room {
  let reserved = 0;
  /** Reservations run in turn: a reservation that fails must not count against others meanwhile. */
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

  /** Reserves up to `most` bytes, but at least `least`. */
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
            // The upload was aborted while it waited.
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
    `no room in ${root}: this client's unfinished uploads hold more than half of it, and other uploads need some`,
  );
}

function sumOf(numbers: Iterable<number>): number {
  let sum = 0;
  for (const number of numbers) sum += number;
  return sum;
}
