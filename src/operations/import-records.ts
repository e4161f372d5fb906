import { z } from 'zod';
import { digestOf, isDigest, type Digest } from '../cache/digest.ts';
import { isKey, type Key } from '../cache/key.ts';
import { importRecordName, IMPORTS } from '../cache/layout.ts';
import type { ObjectStorage } from '../cache/object-storage.ts';
import { readSmallObject, writeSmallObject } from '../cache/small-object.ts';
import type { Platform } from '../cache/platform.ts';
import { throwProgrammingError, isDamage } from '../cache/errors.ts';

/** Result of an archive's import. */
export interface ImportRecord {
  readonly softwareUrl: string;
  readonly key: Key;
  readonly platform: Platform;
  readonly sha512: Digest;
  /** The entry that was added or already existed. */
  readonly entry: Digest;
  readonly warnings: readonly string[];
}

/**
 * Records of imported archives, so that the next import of the same medium needn't reread them. An archive is
 * identified by path, size, time and all statements about it: see `fingerprint` in import-archives.ts.
 */
export interface ImportRecords {
  find(fingerprint: readonly unknown[]): Promise<ImportRecord | undefined>;
  add(fingerprint: readonly unknown[], record: ImportRecord): Promise<void>;
  /** All records by object name; undefined for a damaged one. */
  list(): AsyncIterable<{ readonly name: string; readonly record: ImportRecord | undefined }>;
}

const SIZE_LIMIT = 64 * 1024;

const importRecord = z.object({
  softwareUrl: z.string(),
  key: z.custom<Key>((value) => typeof value === 'string' && isKey(value)),
  platform: z.object({ multiarch: z.string(), os: z.tuple([z.string(), z.string(), z.string()]) }),
  sha512: z.custom<Digest>(isDigest),
  entry: z.custom<Digest>(isDigest),
  warnings: z.array(z.string()),
});

export function createImportRecords(storage: ObjectStorage): ImportRecords {
  const nameOf = (fingerprint: readonly unknown[]): string =>
    importRecordName(digestOf(JSON.stringify(fingerprint)));
  const read = async (name: string): Promise<ImportRecord | undefined> => {
    // A damaged record counts as missing: the archive is reread.
    const text = await readSmallObject(storage, name, SIZE_LIMIT).catch(ignoreDamage);
    if (text === undefined) return undefined;
    const parsed = importRecord.safeParse(parseOrUndefined(text));
    return parsed.success ? parsed.data : undefined;
  };
  return {
    find: (fingerprint) => read(nameOf(fingerprint)),
    async *list() {
      for await (const name of storage.list(IMPORTS)) {
        // Any other name is a stray.
        if (isDigest(name.slice(IMPORTS.length))) yield { name, record: await read(name) };
      }
    },
    add: (fingerprint, record) => writeSmallObject(storage, nameOf(fingerprint), JSON.stringify(record)),
  };
}

function ignoreDamage(error: unknown): undefined {
  if (!isDamage(error)) throw error;
}

function parseOrUndefined(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throwProgrammingError(error);
    return undefined;
  }
}
