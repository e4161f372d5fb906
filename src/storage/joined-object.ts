import type { ObjectStat, ObjectStorage, OpenObject } from '../cache/object-storage.ts';

/**
 * Opens several objects as one. All are opened at once, because an open object stays readable after it is removed.
 * @param nameOf undefined ends the list, as does the first missing object
 * @param isComplete judges the sizes in bytes
 * @returns undefined if the list is not complete
 */
export async function openJoined(
  storage: ObjectStorage,
  nameOf: (index: number) => string | undefined,
  isComplete: (sizes: readonly number[]) => boolean,
): Promise<OpenObject | undefined> {
  const parts: OpenObject[] = [];
  const close = async (): Promise<void> => {
    const closed = await Promise.allSettled(parts.map((part) => part.close()));
    for (const one of closed) if (one.status === 'rejected') throw one.reason;
  };
  try {
    for (let name = nameOf(0); name !== undefined; name = nameOf(parts.length)) {
      const part = await storage.open(name);
      if (part === undefined) break;
      parts.push(part);
    }
  } catch (error) {
    await close();
    throw error;
  }
  if (isComplete(parts.map(({ size }) => size))) {
    const isRemote = parts.some((part) => part.isRemote);
    return { ...joinStats(parts), isRemote, read, close };
  }
  await close();
  return undefined;

  async function read(into: Uint8Array, position: number): Promise<number> {
    let start = 0;
    for (const part of parts) {
      const end = start + part.size;
      if (position < end)
        return part.read(into.subarray(0, Math.min(into.byteLength, end - position)), position - start);
      start = end;
    }
    return 0;
  }
}

/** The whole size, and the time of the newest part. */
export function joinStats(parts: readonly ObjectStat[]): ObjectStat {
  return {
    size: parts.reduce((sum, { size }) => sum + size, 0),
    modified: parts.reduce((latest, { modified }) => Math.max(latest, modified), -Infinity),
  };
}
