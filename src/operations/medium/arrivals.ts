import type { X509Certificate } from 'node:crypto';
import { z } from 'zod';
import { digestOf, type Digest } from '../../cache/digest.ts';
import { throwProgrammingError } from '../../cache/errors.ts';
import { tripsPrefix } from '../../cache/layout.ts';
import type { ObjectStorage } from '../../cache/object-storage.ts';
import { readSmallObject, writeSmallObject } from '../../cache/small-object.ts';
import type { Manifest } from './manifest.ts';

/** A store keeps the numbers of imported media, so that an old medium can't pass for the newest. */

/** The highest number imported here from this medium's signer and origin; 0 if none was. */
export async function highestArrived(storage: ObjectStorage, medium: Arrival): Promise<number> {
  const prefix = tripsPrefix(originId(medium));
  let highest = 0;
  for await (const name of storage.list(prefix)) {
    const serial = Number(name.slice(prefix.length));
    if (Number.isSafeInteger(serial)) highest = Math.max(highest, serial);
  }
  return highest;
}

/** Whether the medium of that number arrived whole. */
export async function didArriveWhole(
  storage: ObjectStorage,
  medium: Arrival,
  serial: number,
): Promise<boolean> {
  try {
    const text = await readSmallObject(storage, recordNameOf(medium, serial), RECORD_SIZE_LIMIT);
    return text === undefined || arrivalRecord.parse(JSON.parse(text)).whole;
  } catch (error) {
    throwProgrammingError(error);
    return true; // The number in the name of a damaged record still counts.
  }
}

/**
 * Returns an `arriveIn` of a source, which records the medium in a store before its first entry is added. A medium that
 * is not whole is recorded under its number, too: its entries are as new as those of the whole medium.
 */
export function createArrival(
  medium: Arrival,
  { isWhole }: { readonly isWhole: boolean },
): (storage: ObjectStorage) => Promise<void> {
  let last: ObjectStorage | undefined;
  return async (storage) => {
    // Once per store, although it is called for each entry.
    if (storage === last) return;
    await rememberArrival(storage, medium, isWhole);
    last = storage;
  };
}

async function rememberArrival(storage: ObjectStorage, medium: Arrival, isWhole: boolean): Promise<void> {
  const { origin, serial, created, by } = medium.manifest;
  const name = recordNameOf(medium, serial);
  // What arrived whole before stays so.
  if (!isWhole && (await storage.ensureDurable(name)) && (await didArriveWhole(storage, medium, serial)))
    return;
  const arrived = new Date().toISOString();
  const record = { origin, serial, created, signer: by.fingerprint, arrived, whole: isWhole };
  await writeSmallObject(storage, name, JSON.stringify(record));
}

/** Earlier versions imported whole media only, and did not say so. */
const arrivalRecord = z.object({ whole: z.boolean().default(true) });

/** Bytes. */
const RECORD_SIZE_LIMIT = 4096;

function recordNameOf(medium: Arrival, serial: number): string {
  return `${tripsPrefix(originId(medium))}${serial}`;
}

interface Arrival {
  readonly manifest: Manifest;
  readonly signer: X509Certificate;
}

/** Uses the key, not the certificate: a renewed certificate must not make old media new. */
function originId({ manifest, signer }: Arrival): Digest {
  return digestOf(
    JSON.stringify([digestOf(signer.publicKey.export({ type: 'spki', format: 'der' })), manifest.origin]),
  );
}
