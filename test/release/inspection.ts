import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect } from 'vitest';
import { CacheError, type ErrorCode } from '../../src/cache/errors.ts';
import { createArchiveInspector, type ArchiveContents } from '../../src/release/archive-inspection.ts';

/** Inspects a whole archive in chunks of `chunkSize` bytes, through one buffer that is overwritten each time. */
export async function inspect(archive: Uint8Array, chunkSize = 64 * 1024): Promise<ArchiveContents> {
  const inspector = createArchiveInspector(archive.length);
  const buffer = Buffer.alloc(chunkSize);
  try {
    for (let start = 0; start < archive.length; start += chunkSize) {
      const chunk = archive.subarray(start, start + chunkSize);
      buffer.set(chunk);
      await inspector.write(buffer.subarray(0, chunk.length));
      buffer.fill(0xaa);
    }
    return await inspector.end();
  } finally {
    inspector.abort();
  }
}

/** The error that the inspection of an archive ends with. */
export async function faultOf(archive: Uint8Array, chunkSize?: number): Promise<CacheError> {
  const outcome: unknown = await inspect(archive, chunkSize).catch((error: unknown) => error);
  if (outcome instanceof CacheError) return outcome;
  throw new Error(`no CacheError: ${String(outcome)}`, { cause: outcome });
}

export async function expectRefused(archive: Uint8Array, code: ErrorCode, message: RegExp): Promise<void> {
  const fault = await faultOf(archive);
  expect(fault.message).toMatch(message);
  expect(fault.code).toBe(code);
}

const NAMES = `
import sys, tarfile
with tarfile.open(sys.argv[1]) as tar:
    for member in tar:
        if member.isfile():
            tar.extractfile(member).read()
        print(member.name.replace(chr(10), "?"))
`;

/** The names that Python's tarfile, which is what unpacks an archive on a node, reads from a file. */
export async function namesByPython(file: string): Promise<string[]> {
  const env = { ...process.env, PYTHONIOENCODING: 'utf-8:surrogateescape' };
  const { stdout } = await promisify(execFile)('python3', ['-c', NAMES, file], { env, maxBuffer: 1e8 });
  return stdout.split('\n').slice(0, -1);
}
