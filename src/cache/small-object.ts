import { CacheError } from './errors.ts';
import type { ObjectStorage, ObjectWriter } from './object-storage.ts';

/**
 * Reads the text of a small object; undefined if it is missing.
 * @param limit largest size in bytes
 * @throws DamagedObject: it is too large or cut off; CacheError `storage`
 */
export async function readSmallObject(
  storage: ObjectStorage,
  name: string,
  limit: number,
): Promise<string | undefined> {
  const object = await storage.open(name);
  if (object === undefined) return undefined;
  try {
    if (object.size > limit) throw new DamagedObject(name, `it has ${object.size} bytes`);
    const content = Buffer.alloc(object.size);
    let length = 0;
    while (length < content.length) {
      const count = await object.read(content.subarray(length), length);
      if (count === 0) throw new DamagedObject(name, 'it is cut off');
      length += count;
    }
    return content.toString('utf8');
  } finally {
    await object.close();
  }
}

/** Writes a text under `name`, followed by a newline; replaces an existing object. */
export function writeSmallObject(storage: ObjectStorage, name: string, text: string): Promise<void> {
  return writeText(storage, text, (writer) => writer.commit(name));
}

/** The same, unless an object has the name. @returns whether it was written */
export function addSmallObject(storage: ObjectStorage, name: string, text: string): Promise<boolean> {
  return writeText(storage, text, (writer) => writer.commitNew(name));
}

async function writeText<Result>(
  storage: ObjectStorage,
  text: string,
  commit: (writer: ObjectWriter) => Promise<Result>,
): Promise<Result> {
  const content = Buffer.from(`${text}\n`);
  const writer = await storage.create(content.byteLength);
  try {
    await writer.write([content]);
    return await commit(writer);
  } finally {
    await writer.abort();
  }
}

/** An object of the store whose bytes differ from the written bytes. */
export class DamagedObject extends CacheError {
  /** The fault, for messages. */
  readonly what: string;

  constructor(name: string, what: string, cause?: unknown) {
    super('damaged', `${name} of the store is damaged: ${what}`, { cause });
    this.what = what;
  }
}
