import { createHash } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { VerifiedEntry } from '../../src/cache/entry.ts';
import type { Signer } from '../../src/cache/signature.ts';
import { keyPairOf } from '../fixtures/key-pairs.ts';
import { signerOf } from '../fixtures/signing-keys.ts';
import { incompressible } from '../fixtures/software-release.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { addRelease, makeStore, type TestStore } from '../operations/test-store.ts';

/** A folder with a configuration, a certificate and a store. */
export interface Site extends TestStore {
  readonly folder: string;
  readonly signer: Signer;
}

/**
 * @param config more sections of config.ini
 * @param store more lines of its `[store]`
 */
export async function makeSite(config = '', store = ''): Promise<Site> {
  const pair = await keyPairOf('ShaCache');
  const folder = await temporaryFolder();
  await writeFile(join(folder, 'sign.crt'), pair.certificate);
  await writeFile(join(folder, 'sign.key'), pair.privateKey, { mode: 0o600 });
  await writeFile(
    join(folder, 'config.ini'),
    `[store]\npath = store\n${store}[signature]\ncertificate-file = sign.crt\nprivate-key-file = sign.key\n${config}`,
  );
  return { ...(await makeStore(join(folder, 'store'))), folder, signer: signerOf(pair) };
}

export const urlOf = (number: number): string =>
  `https://lab.nexedi.com/nexedi/slapos/raw/1.0.${number}/software/example/software.cfg`;

const contentOf = (number: number): Buffer => Buffer.concat([Buffer.from(`${number} `), BYTES]);
const BYTES = incompressible(60_000);

/** The releases `from` to `to`, the last not among them. */
export async function addReleases(
  { blobs, directory, signer }: Site,
  to: number,
  from = 0,
): Promise<readonly VerifiedEntry[]> {
  const entries = [];
  for (let number = from; number < to; number++)
    entries.push(
      await addRelease({ blobs, directory }, signer, { url: urlOf(number), content: contentOf(number) }),
    );
  return entries;
}

export const sha512 = (bytes: Uint8Array): string => createHash('sha512').update(bytes).digest('hex');
