import { randomBytes, randomInt } from 'node:crypto';
import { z } from 'zod';
import { CacheError, throwProgrammingError } from '../../cache/errors.ts';
import { EXPORTS } from '../../cache/layout.ts';
import type { ObjectStorage } from '../../cache/object-storage.ts';
import { addSmallObject, readSmallObject, writeSmallObject } from '../../cache/small-object.ts';

/**
 * Each export of a store has a higher serial number than all before it. Each number has its own object, because two
 * exports may run at once.
 */

const RECORD_SIZE_LIMIT = 4096;
const ORIGIN = `${EXPORTS}origin`;

const originRecord = z.object({ origin: z.string().regex(/^[0-9a-f]{32}$/) });

/**
 * Reserves the next serial number of the store; it is never reused, even if the export fails.
 * @param after a number already used, according to a medium
 * @throws CacheError `storage`, `no-space`
 */
export async function takeSerial(storage: ObjectStorage, after: number): Promise<number> {
  for (let attempt = 0; ; attempt++) {
    const taken = await takenSerials(storage);
    const highest = taken.reduce((most, { serial }) => Math.max(most, serial), after);
    // Two exports that took the same number both notice it, and a random step avoids a second collision.
    const serial = highest + 1 + (attempt === 0 ? 0 : randomInt(8));
    const name = `${EXPORTS}${serial}-${randomBytes(8).toString('hex')}`;
    await writeSmallObject(storage, name, JSON.stringify({ taken: new Date().toISOString() }));
    const others = (await takenSerials(storage)).filter((other) => other.name !== name);
    if (others.every((other) => other.serial < serial)) return serial;
  }
}

interface TakenSerial {
  readonly name: string;
  readonly serial: number;
}

async function takenSerials(storage: ObjectStorage): Promise<readonly TakenSerial[]> {
  const taken: TakenSerial[] = [];
  for await (const name of storage.list(EXPORTS)) {
    const serial = Number(/^(\d{1,15})-/.exec(name.slice(EXPORTS.length))?.[1]);
    if (serial > 0) taken.push({ name, serial });
  }
  return taken;
}

/** Identifies this store among all exporting stores; made on the first export. @throws CacheError `storage` */
export async function originOf(storage: ObjectStorage): Promise<string> {
  const known = await readOrigin(storage);
  if (known !== undefined) return known;
  const origin = randomBytes(16).toString('hex');
  // If two are made at once, the first one counts for both.
  await addSmallObject(storage, ORIGIN, JSON.stringify({ origin }));
  return (await readOrigin(storage)) ?? origin;
}

/** @returns undefined before the first export */
async function readOrigin(storage: ObjectStorage): Promise<string | undefined> {
  const text = await readSmallObject(storage, ORIGIN, RECORD_SIZE_LIMIT);
  if (text === undefined) return undefined;
  try {
    return originRecord.parse(JSON.parse(text)).origin;
  } catch (error) {
    throwProgrammingError(error);
    throw new CacheError(
      'storage',
      `${ORIGIN} of the store is damaged; remove it: the next export then counts anew, and sites have to be told --accept-older once`,
      { cause: error },
    );
  }
}
