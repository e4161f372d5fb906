import { z } from 'zod';
import type { UnverifiedEntry } from '../cache/entry.ts';
import { compatibilityClass } from '../cache/platform.ts';
import type { TrustedCertificates } from '../cache/signature.ts';

/**
 * Equal for two entries of a key that serve the same nodes: a node that takes one of them never takes a later one in the list.
 * @returns undefined where that isn't known: it's not a release, or no trusted certificate verifies it
 */
export function groupOf(
  entry: UnverifiedEntry,
  trusted: Pick<TrustedCertificates, 'signerOf'>,
): string | undefined {
  const { platform, softwareUrl, pair } = entry;
  // What clients choose by under other keys isn't known.
  if (platform === undefined || softwareUrl === undefined) return undefined;
  const signer = pair[1] === '' ? '' : trusted.signerOf(entry)?.fingerprint512;
  if (signer === undefined) return undefined;
  return JSON.stringify([signer, compatibilityClass(platform), softwareRootOf(entry)]);
}

/** Where the release must be unpacked, as the signed text tells it; null where it doesn't. */
export function softwareRootOf({ pair: [json] }: UnverifiedEntry): unknown {
  return z.looseObject({ software_root: z.unknown() }).parse(JSON.parse(json)).software_root ?? null;
}
