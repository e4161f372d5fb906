import { z } from 'zod';

// The output of each command with --json, documented in docs/json.md. A field has the same name in all of them. Only types are
// taken from here when a command runs.

const url = z.string().meta({ description: 'software URL of a release, or URL of a source file' });
const key = z
  .string()
  .meta({ description: 'what nodes look up: the md5 of the software URL, or the key of a source' });
const digest = z.string().regex(/^[0-9a-f]{128}$/);
const sha512 = digest.meta({ description: 'sha512 of the blob' });
const entry = digest.meta({ description: 'digest of the signed entry' });
const platform = z
  .strictObject({
    multiarch: z.string().meta({ description: 'as gcc -dumpmachine prints it' }),
    os: z.tuple([z.string(), z.string(), z.string()]).meta({ description: 'id, version and codename' }),
  })
  .meta({ description: 'what a release was built for, or a machine' });
const size = z
  .int()
  .nonnegative()
  .meta({ description: 'bytes of the blob; absent if it is missing or unknown' });
const reason = z.string().meta({ description: 'why, for a person' });
const received = z.iso.datetime().meta({ description: 'when the store received the entry, in UTC' });
const created = z.iso.datetime().meta({ description: 'when the entry was made, in UTC' });
const file = z.string().meta({ description: 'name of the archive or file' });
const folder = z.string();
const basename = z.string().meta({ description: 'file name of a source' });
const signer = z.strictObject({
  name: z.string(),
  fingerprint: z.string().meta({ description: 'SHA-256 of the certificate, AB:CD:…' }),
});
const commit = z
  .string()
  .meta({ description: 'that the program was built from; absent if it was built outside a clone' });
const texts = z.array(z.string());
const count = z.int().nonnegative();

const statusOf = <const Values extends readonly [string, ...string[]]>(values: Values) =>
  z.enum(values).meta({ description: 'what became of it, or what it is' });

const blob = z.strictObject({ sha512, size });
const blobs = z.array(blob);

const imported = z.array(
  z.strictObject({
    ...{ status: statusOf(['imported', 'unchanged', 'checked', 'skipped', 'refused']) },
    ...{ file: file.optional(), url: url.optional(), key: key.optional(), platform: platform.optional() },
    ...{ sha512: sha512.optional(), size: size.optional(), reason: reason.optional() },
    warnings: texts.optional(),
  }),
);

/** An entry that `remove` or `gc` takes away. */
const removedEntry = z.strictObject({
  ...{ key, entry, sha512: sha512.optional(), url: url.optional(), platform: platform.optional() },
  received: received.optional(),
});

/** The schema of each command's output. */
export const JSON_OUTPUT = {
  init: z.strictObject({ made: texts, kept: texts, changed: texts }),
  keygen: z.strictObject({
    status: statusOf(['made', 'kept']),
    ...{ privateKeyFile: z.string(), certificateFile: z.string() },
  }),
  'trust list': z.array(signer.extend({ from: z.enum(['own', 'signature', 'upstream']) })),
  'trust add': z.strictObject({ file, added: z.array(signer), kept: z.array(signer) }),
  'trust remove': z.strictObject({
    ...{ file, removed: z.array(signer) },
    missing: texts.meta({ description: 'fingerprints that were not in the list' }),
  }),
  config: z.strictObject({
    ...{ file: file.nullable(), folder },
    places: z
      .array(z.strictObject({ place: z.string(), state: z.string(), file: file.nullable() }))
      .meta({ description: 'where the configuration was searched, in order' }),
    values: z.array(
      z.strictObject({
        ...{ section: z.string(), key: z.string(), value: z.unknown(), text: z.string() },
        line: count.nullable().meta({ description: 'in the file; null for a default' }),
        from: z.enum(['file', 'default', 'environment']),
      }),
    ),
  }),
  'config check': z.strictObject({ file: file.nullable(), faults: texts, notes: texts }),
  import: imported,
  pack: z.array(
    z.strictObject({
      ...{ status: statusOf(['imported', 'packed', 'unchanged', 'refused']), folder },
      ...{ file: file.optional(), path: z.string().optional(), url: url.optional(), key: key.optional() },
      ...{ platform: platform.optional(), sha512: sha512.optional(), size: size.optional() },
      ...{ reason: reason.optional(), warnings: texts.optional() },
    }),
  ),
  fetch: z.array(
    z.strictObject({
      ...{ url: url.optional(), key, reason: reason.optional() },
      offers: z.array(
        z.strictObject({
          status: statusOf(['wanted', 'older', 'foreign', 'refused']),
          ...{ platform: platform.optional(), sha512, created: created.optional() },
          reason: reason.optional(),
        }),
      ),
      results: z.array(
        z.strictObject({
          status: statusOf([
            'fetched',
            'resigned',
            'to-fetch',
            'to-resign',
            'unchanged',
            'refused',
            'not-fetched',
          ]),
          ...{ platform: platform.optional(), sha512, size: size.optional(), reason: reason.optional() },
        }),
      ),
    }),
  ),
  sync: z.strictObject({
    counts: z.record(z.string(), count).meta({ description: 'entries of each status' }),
    changes: z.array(
      z.strictObject({
        status: statusOf([
          'copied',
          'to-copy',
          'unchanged',
          'left-out',
          'refused',
          'unreadable',
          'not-copied',
        ]),
        ...{ url: url.optional(), key, platform: platform.optional(), sha512: sha512.optional() },
        reason: reason.optional(),
      }),
    ),
  }),
  export: z.strictObject({
    medium: folder,
    size: count.meta({ description: 'bytes written, or to be written' }),
    rewritten: count.meta({ description: 'damaged files that were written again' }),
    ...{
      serial: count.optional(),
      fingerprint: z.string().optional(),
      certificateFile: z.string().optional(),
    },
    entries: z.array(
      z.strictObject({
        status: statusOf(['exported', 'unchanged', 'present', 'planned', 'refused']),
        ...{ url: url.optional(), key, platform: platform.optional(), sha512, size: size.optional() },
        reason: reason.optional(),
      }),
    ),
  }),
  inventory: z.tuple([z.string(), z.string()]).meta({ description: 'text and signature; see docs/store.md' }),
  serve: z.strictObject({ store: folder, urls: texts, imported }),
  'slapos-cfg': z.strictObject({
    url: z.string().meta({ description: 'URL of the cache' }),
    section: z.string().meta({ description: 'the [networkcache] section' }),
  }),
  lookup: z.strictObject({
    ...{ url: url.optional(), key },
    platform: platform.meta({ description: 'the machine to compare with' }),
    entries: z.array(
      z.strictObject({
        ...{ url: url.optional(), basename: basename.optional(), platform: platform.optional() },
        ...{ sha512, size: size.optional(), received: received.optional(), created: created.optional() },
        compatible: z.boolean().meta({ description: 'whether the machine would install it' }),
        verified: z.boolean().meta({ description: 'whether a trusted certificate verifies it' }),
        signer: signer.optional(),
        members: z
          .record(z.string(), z.unknown())
          .optional()
          .meta({ description: 'other members of the entry of a source' }),
      }),
    ),
    suggestions: texts.meta({ description: 'similar software URLs' }),
  }),
  check: z.strictObject({
    platform: platform.meta({ description: 'the machine to compare with' }),
    notes: texts.meta({ description: 'what concerns all releases' }),
    releases: z.array(
      z.strictObject({
        status: statusOf([
          'installable',
          'no-entry',
          'entry-damaged',
          'incompatible',
          'untrusted',
          'key-mismatch',
          'blob-missing',
          'blob-damaged',
          'unreadable',
          'owner-forbidden',
          'unavailable',
          'tls-refused',
          'blacklisted',
          'folder-left',
          'no-gcc',
          'no-cache-url',
        ]),
        ...{ url: url.optional(), key, reason: reason.optional(), entry: entry.optional() },
        ...{ platform: platform.optional(), sha512: sha512.optional(), size: size.optional() },
        platforms: z.array(platform).meta({ description: 'of all entries' }),
        notes: texts,
        suggestions: texts.meta({ description: 'similar software URLs' }),
        fixes: texts.meta({ description: 'what helps, as commands where there are any' }),
        node: z
          .strictObject({
            asks: z.boolean().meta({ description: 'whether it asks the cache' }),
            outcome: z.enum(['downloads', 'compiles', 'retries']),
            text: z.string(),
          })
          .optional()
          .meta({ description: 'with --slapos-cfg: what the node does' }),
      }),
    ),
  }),
  list: z.array(
    z.union([
      z.strictObject({
        ...{ url, key },
        builds: z.array(
          z.strictObject({ platform, sha512, size: size.optional(), received, signers: z.array(signer) }),
        ),
      }),
      z.strictObject({
        key,
        entries: z.array(
          z.strictObject({
            ...{
              url: url.optional(),
              basename: basename.optional(),
              sha512,
              size: size.optional(),
              received,
            },
            signer: signer.optional(),
          }),
        ),
      }),
    ]),
  ),
  /** One line. */
  log: z.looseObject({
    at: z.iso.datetime().meta({ description: 'when, in UTC' }),
    who: z.looseObject({
      ...{ user: z.string().optional(), sudoUser: z.string().optional(), remote: z.string().optional() },
      host: z.string(),
    }),
    action: z.string(),
    ...{ url: url.optional(), key: key.optional(), entry: entry.optional(), sha512: sha512.optional() },
    ...{ size: size.optional(), source: z.string().optional(), target: z.string().optional() },
    reason: reason.optional(),
  }),
  verify: z.strictObject({
    findings: z.array(
      z.strictObject({
        kind: z.enum([
          ...([
            'mark-damaged',
            'stray',
            'leftover',
            'entry-damaged',
            'entry-untrusted',
            'blob-damaged',
          ] as const),
          ...(['blob-missing', 'unreadable', 'forbidden', 'owner-forbidden', 'record-damaged'] as const),
        ]),
        status: statusOf(['found', 'healed', 'quarantined', 'removed', 'gone', 'left']),
        path: z.string().meta({ description: 'relative to the store' }),
        ...{ reason, url: url.optional(), key: key.optional(), entry: entry.optional() },
        sha512: sha512.optional(),
        source: z.string().optional().meta({ description: 'where the good copy came from' }),
        quarantined: z
          .string()
          .optional()
          .meta({ description: 'where the bad object is, relative to the store' }),
        attempts: texts.optional().meta({ description: 'why each source of --heal-from could not help' }),
      }),
    ),
    counts: z.strictObject({
      ...{ entries: count, blobs: count, size: count.meta({ description: 'bytes of all blobs' }) },
      unnamedBlobs: count,
      unnamedSize: count.meta({ description: 'bytes of the unnamed blobs' }),
    }),
    affected: z
      .array(z.strictObject({ url: url.optional(), key, entry, platform: platform.optional(), sha512 }))
      .meta({ description: 'entries whose blob is still bad' }),
  }),
  remove: z.array(
    z.strictObject({
      status: statusOf(['removed', 'found', 'unknown', 'pinned']),
      ...{ url: url.optional(), key, entries: z.array(removedEntry), blobs },
      pin: z.string().optional().meta({ description: 'its name in [pin]' }),
    }),
  ),
  gc: z.strictObject({
    ...{
      entries: z.array(removedEntry),
      blobs,
      leftovers: texts,
      records: texts,
      young: blobs,
      unnamed: blobs,
    },
    damaged: z.array(z.strictObject({ key, entry })),
  }),
  health: z.strictObject({
    ...{ url: z.string().meta({ description: 'of the server' }), version: z.string() },
    ...{ commit: commit.optional(), node: z.string().optional() },
  }),
  version: z.strictObject({ version: z.string(), commit: commit.optional(), node: z.string(), platform }),
} as const;

/** What any command prints on stderr, in one line, if it ends with an error. */
export const JSON_ERROR = z.strictObject({
  error: z.strictObject({
    code: z.enum([
      ...(['usage', 'config', 'invalid-digest', 'invalid-key', 'invalid-entry', 'invalid-archive'] as const),
      ...(['invalid-medium', 'unsupported-archive', 'digest-mismatch', 'incomplete', 'too-large'] as const),
      ...(['no-space', 'not-found', 'untrusted', 'key-mismatch', 'blob-missing', 'unauthorized'] as const),
      ...(['forbidden', 'too-many', 'unavailable', 'damaged', 'storage', 'unexpected'] as const),
    ]),
    message: z.string(),
  }),
});
