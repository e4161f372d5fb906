import { resolve } from 'node:path';
import { z } from 'zod';
import { CacheError } from '../cache/errors.ts';
import { createAccessSection, toAccessConfig } from './access-section.ts';
import { parseCertificateList } from './certificate-list.ts';
import { createServerSection, toServerConfig } from './server-section.ts';
import { parseSize } from './size.ts';
import { SoftwareTable } from './software-table.ts';
import { createStoreSection, toStoreConfig } from './store-section.ts';
import { textSchema } from './text-schema.ts';
import { createUpstreamSection, toUpstreamConfig } from './upstream-section.ts';
import { parseBoolean, parsePath, parseSoftwareUrl } from './value.ts';

/** The sections with fixed keys; each schema parses the text of a key. Paths are relative to `folder`. */
export function createSections(folder: string) {
  const path = textSchema((text) => resolve(folder, parsePath(text)));
  return {
    server: createServerSection(path),
    store: createStoreSection(path),
    signature: z.object({
      'private-key-file': path.prefault('./sign.key'),
      'certificate-file': path.prefault('./sign.crt'),
      'signature-certificate-list': textSchema(parseCertificateList).default([]),
    }),
    upload: z.object({
      'max-blob-size': textSchema(parseLargestSize).prefault('20 GiB'),
      // Small enough for a small machine, large enough for a system on the same disk.
      'min-free-space': textSchema(parseSize).prefault('256 MiB'),
      'allow-unsigned': textSchema(parseBoolean).default(false),
    }),
    access: createAccessSection(path),
    upstream: createUpstreamSection(path),
  };
}

/** A section of `name = URL`. */
const softwareTable = z
  .map(z.string(), textSchema(parseSoftwareUrl))
  .transform((urls) => new SoftwareTable(urls));

/** The schema of the whole file, from texts by section and key to `Config`. */
export function createConfigSchema(sections: ReturnType<typeof createSections>) {
  return z
    .object({
      server: sections.server.transform(toServerConfig),
      store: sections.store.transform((values, context) =>
        toStoreConfig(values, context, sections.store.shape.path.parse(undefined)),
      ),
      signature: sections.signature.transform((values) => ({
        privateKeyFile: values['private-key-file'],
        certificateFile: values['certificate-file'],
        trustedCertificates: values['signature-certificate-list'],
      })),
      software: softwareTable,
      pin: softwareTable,
      upload: sections.upload.transform((values) => ({
        maxBlobSize: values['max-blob-size'],
        minFreeSpace: values['min-free-space'],
        allowUnsigned: values['allow-unsigned'],
      })),
      access: sections.access.transform(toAccessConfig),
      upstream: sections.upstream.transform(toUpstreamConfig),
    })
    .superRefine(({ server, access }, context) => {
      if (access.clientCaFile !== undefined && server.tls.mode === 'off') {
        context.addIssue({
          code: 'custom',
          path: ['access', 'client-ca-file'],
          message: 'requires TLS; set tls = auto in [server], or tls-certificate and tls-key',
        });
      }
    });
}

function parseLargestSize(text: string): number {
  const size = parseSize(text);
  if (size === 0)
    throw new CacheError(
      'usage',
      '0 would refuse every upload; write the largest size to accept, such as 20 GiB',
    );
  return size;
}
