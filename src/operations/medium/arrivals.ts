import type { X509Certificate } from 'node:crypto';
import { digestOf, type Digest } from '../../cache/digest.ts';
import { tripsPrefix } from '../../cache/layout.ts';
import type { ObjectStorage } from '../../cache/object-storage.ts';
import { writeSmallObject } from '../../cache/small-object.ts';
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

/** Records that a medium was imported. */
export async function rememberArrival(storage: ObjectStorage, medium: Arrival): Promise<void> {
  const { origin, serial, created, by } = medium.manifest;
  const record = { origin, serial, created, signer: by.fingerprint, arrived: new Date().toISOString() };
  await writeSmallObject(storage, `${tripsPrefix(originId(medium))}${serial}`, JSON.stringify(record));
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
