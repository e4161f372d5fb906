import { chmod, readFile, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createBlobs } from '../../../src/cache/blobs.ts';
import { createDirectory } from '../../../src/cache/directory.ts';
import type { TrustedCertificates } from '../../../src/cache/signature.ts';
import type { Finding } from '../../../src/operations/upkeep/finding.ts';
import { createPace } from '../../../src/operations/upkeep/pace.ts';
import type {
  StoreToVerify,
  VerifyCounts,
  VerifyOptions,
} from '../../../src/operations/upkeep/verification.ts';
import { verifyStore } from '../../../src/operations/upkeep/verify-store.ts';
import { createCustodyLog } from '../../../src/cache/custody-log.ts';
import { openStorageForUpkeep } from '../../../src/storage/filesystem.ts';
import { createStoreUpkeep } from '../../../src/storage/store-upkeep.ts';
import type { CustodyLog } from '../../../src/cache/custody.ts';

/** The store in a folder, as `cache verify` opens it. */
export async function openToVerify(root: string): Promise<StoreToVerify & { readonly custody: CustodyLog }> {
  const { storage, markFault } = await openStorageForUpkeep(root);
  return {
    ...{ storage, markFault },
    blobs: createBlobs(storage),
    directory: createDirectory(storage),
    upkeep: createStoreUpkeep(root),
    custody: createCustodyLog(storage, { who: { user: 'root', host: 'master' } }),
  };
}

/** Everything that a verification yields and ends with. */
export async function verifyAll(
  store: StoreToVerify,
  trusted: Pick<TrustedCertificates, 'signerOf'>,
  options: Partial<VerifyOptions> = {},
): Promise<{ readonly findings: readonly Finding[]; readonly counts: VerifyCounts }> {
  const findings: Finding[] = [];
  const verifying = verifyStore(store, {
    ...{ trusted, allowUnsigned: false, deep: true, pace: createPace(), ...options },
  });
  for (;;) {
    const step = await verifying.next();
    if (step.done) return { findings, counts: step.value };
    findings.push(step.value);
  }
}

/** `KIND PATH`, sorted. */
export function briefly(findings: readonly Finding[]): readonly string[] {
  return findings.map(({ kind, path }) => `${kind} ${path}`).sort();
}

/** Flips one bit in the middle of a file of a store, as a bad disk does: its time stays. */
export async function flipBit(root: string, name: string, bit?: number): Promise<void> {
  const path = join(root, name);
  const bytes = await readFile(path);
  const at = bit ?? bytes.length * 4;
  bytes[at >> 3] = (bytes[at >> 3] ?? 0) ^ (1 << (at & 7));
  const { atime, mtime } = await stat(path);
  await chmod(path, 0o644);
  await writeFile(path, bytes);
  await utimes(path, atime, mtime);
}
