import { chmod, readFile, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TrustedCertificates } from '../../../src/cache/signature.ts';
import type { Finding } from '../../../src/operations/upkeep/finding.ts';
import { createPace } from '../../../src/operations/upkeep/pace.ts';
import type { VerifyCounts, VerifyOptions } from '../../../src/operations/upkeep/verification.ts';
import { verifyStore } from '../../../src/operations/upkeep/verify-store.ts';
import type { Store } from '../../../src/cache/store.ts';
import { openStore } from '../../../src/storage/open-store.ts';

/** The store in a folder, as `cache verify` opens it. */
export function openToVerify(root: string): Promise<Store> {
  return openStore(root, { mode: 'upkeep', who: { user: 'root', host: 'master' } });
}

/** Everything that a verification yields and ends with. */
export async function verifyAll(
  store: Store,
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
