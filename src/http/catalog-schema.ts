import { z } from 'zod';

// The answers of the catalog, documented in docs/catalog.md. Fields have the names and meanings of docs/json.md.

/** Changes when a field is removed or gets another meaning; new fields don't change it. */
export const CATALOG_FORMAT = 1;

const format = z.literal(CATALOG_FORMAT).meta({ description: 'version of this format' });
const key = z.string().meta({ description: 'md5 of the software URL, or the key of a source' });
const count = z.int().nonnegative();
const platform = z
  .strictObject({
    multiarch: z.string().meta({ description: 'as gcc -dumpmachine prints it' }),
    os: z.tuple([z.string(), z.string(), z.string()]).meta({ description: 'id, version and codename' }),
  })
  .meta({ id: 'Platform' });
const signer = z
  .strictObject({
    name: z.string().meta({ description: 'CN of the certificate' }),
    fingerprint: z.string().meta({ description: 'SHA-256 of the certificate, AB:CD:…' }),
  })
  .meta({
    id: 'Signer',
    description: 'trusted certificate that verifies the entry; absent if there is none',
  });
const blob = {
  sha512: z
    .string()
    .regex(/^[0-9a-f]{128}$/)
    .meta({ description: 'of the blob' }),
  size: count.optional().meta({ description: 'bytes of the blob; absent if the blob is missing' }),
  received: z.iso.datetime().meta({ description: 'when the store received the entry, in UTC' }),
  signer: signer.optional(),
};

const release = z
  .strictObject({
    url: z.string().meta({ description: 'software URL' }),
    key,
    name: z.string().meta({ description: 'such as rapid-cdn' }),
    version: z.string().optional().meta({ description: 'such as 1.0.344; absent if the URL has none' }),
    builds: z
      .array(z.strictObject({ platform, ...blob }).meta({ id: 'Build' }))
      .meta({ description: 'newest trusted entry of each platform, or newest entry if none is trusted' }),
  })
  .meta({ id: 'Release' });

const source = z
  .strictObject({
    key,
    entries: z
      .array(
        z
          .strictObject({
            url: z.string().optional().meta({ description: 'URL of the source file' }),
            basename: z.string().optional().meta({ description: 'file name' }),
            platform: platform.optional(),
            ...blob,
          })
          .meta({ id: 'SourceEntry' }),
      )
      .meta({ description: 'newest first' }),
  })
  .meta({ id: 'Source' });

/** `GET /v1/_catalog` */
export const catalogAnswer = z
  .strictObject({
    format,
    complete: z.boolean().meta({
      description: 'whether the whole store has been read; before that, more may be there than is told',
    }),
    counts: z
      .strictObject({
        releases: count,
        sources: count.meta({ description: 'keys of sources' }),
        entries: count,
        blobs: count,
        size: count.meta({ description: 'bytes of all blobs' }),
      })
      .meta({ id: 'Counts', description: 'of the whole store' }),
    total: count.meta({ description: 'what the query finds on all pages' }),
    cursor: z.string().optional().meta({ description: 'of the next page; absent on the last page' }),
    releases: z.array(release).optional().meta({ description: 'with kind=releases' }),
    sources: z.array(source).optional().meta({ description: 'with kind=sources' }),
  })
  .meta({ id: 'Catalog' });

/** `GET /v1/releases/<key>` */
export const releaseAnswer = z.strictObject({ format, release }).meta({ id: 'ReleaseAnswer' });

const words = z.string();

/** The query of `GET /v1/_catalog`; all values are texts. */
export const catalogQuery = z.strictObject({
  kind: z.enum(['releases', 'sources']).default('releases').meta({ description: 'what to list' }),
  q: words.max(1000).optional().meta({
    description:
      'up to 8 words that must all be in the name, URL, file name or key, or, from 8 hex digits on, in a sha512; in any case',
  }),
  name: words.optional().meta({ description: 'exact name of a release' }),
  os: words.optional().meta({
    description: 'operating system, such as "debian 12", ubuntu-22.04 or ["rocky","9.3","Blue Onyx"]',
  }),
  multiarch: words.optional().meta({ description: 'such as x86_64-linux-gnu' }),
  since: z.iso
    .datetime({ offset: true })
    .or(z.iso.date())
    .optional()
    .meta({ description: 'only what was received since: a time, or a date in UTC' }),
  sort: z
    .enum(['name', 'size', 'received'])
    .default('name')
    .meta({ description: 'order; size is that of all blobs of a key' }),
  order: z.enum(['asc', 'desc']).default('asc'),
  limit: z
    .string()
    .regex(/^[1-9]\d{0,3}$/)
    .default('100')
    .meta({ description: 'results per page, 1 to 1000' }),
  cursor: z.string().max(2000).optional().meta({ description: 'cursor of the page before' }),
});
