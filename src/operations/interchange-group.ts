import { z } from 'zod';
import type { UnverifiedEntry } from '../cache/entry.ts';
import { compatibilityClass } from '../cache/platform.ts';
import type { TrustedCertificates } from '../cache/signature.ts';

/**
 * Equal for two entries of a key that serve the same nodes: a node that takes one never takes a later one in the
 * list.
 * @returns undefined if unknown: the key is not a release's, or no trusted certificate verifies the entry
 */
export function groupOf(
  entry: UnverifiedEntry,
  trusted: Pick<TrustedCertificates, 'signerOf'>,
): string | undefined {
  const { platform, softwareUrl, pair } = entry;
  // For other keys it is unknown how clients choose.
  if (platform === undefined || softwareUrl === undefined) return undefined;
  const signer = pair[1] === '' ? '' : trusted.signerOf(entry)?.fingerprint512;
  if (signer === undefined) return undefined;
  return JSON.stringify([signer, compatibilityClass(platform), softwareRootOf(entry)]);
}

/** The folder to unpack the release in, from the signed text; null if it is absent. */
export function softwareRootOf({ pair: [json] }: UnverifiedEntry): unknown {
  return z.looseObject({ software_root: z.unknown() }).parse(JSON.parse(json)).software_root ?? null;
}
