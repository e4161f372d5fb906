import { z } from 'zod';
import { parseCertificateList } from './certificate-list.ts';
import { addFault, textSchema } from './text-schema.ts';
import { parseBaseUrl } from './value.ts';

/** `[upstream]`: another cache to fetch releases from. URLs have no trailing `/`. */
export interface UpstreamConfig {
  /** Of the blobs (ShaCache). */
  readonly cacheUrl: string;
  /** Of the directory (ShaDir). */
  readonly dirUrl: string;
  /** PEM texts; may be empty. */
  readonly trustedCertificates: readonly string[];
  /** PEM file with the CA certificates of the servers. */
  readonly caFile: string | undefined;
}

/** @param path a schema that makes paths absolute */
export function createUpstreamSection(path: z.ZodType<string, string>) {
  return z.object({
    'download-binary-cache-url': textSchema(parseBaseUrl).optional(),
    'download-binary-dir-url': textSchema(parseBaseUrl).optional(),
    'signature-certificate-list': textSchema(parseCertificateList).default([]),
    'ca-file': path.optional(),
  });
}

type UpstreamValues = z.output<ReturnType<typeof createUpstreamSection>>;

/** Joins the keys of `[upstream]`; undefined if the section has none. */
export function toUpstreamConfig(
  values: UpstreamValues,
  context: z.RefinementCtx,
): UpstreamConfig | undefined {
  const cacheUrl = values['download-binary-cache-url'];
  const dirUrl = values['download-binary-dir-url'];
  const trustedCertificates = values['signature-certificate-list'];
  const caFile = values['ca-file'];
  if (cacheUrl !== undefined && dirUrl !== undefined)
    return { cacheUrl, dirUrl, trustedCertificates, caFile };
  if (cacheUrl !== undefined) {
    addFault(context, 'download-binary-cache-url', 'has no directory; also set download-binary-dir-url');
  } else if (dirUrl !== undefined) {
    addFault(context, 'download-binary-dir-url', 'has no blobs; also set download-binary-cache-url');
  } else if (trustedCertificates.length > 0) {
    addFault(
      context,
      'signature-certificate-list',
      'has no upstream; also set download-binary-cache-url and download-binary-dir-url, or move it to [signature]',
    );
  } else if (caFile !== undefined) {
    addFault(
      context,
      'ca-file',
      'has no upstream; also set download-binary-cache-url and download-binary-dir-url, or use --ca FILE with a named server',
    );
  }
  return undefined;
}
