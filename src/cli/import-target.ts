import type { Config } from '../config/config.ts';
import type { ImportTarget } from '../operations/import-archives.ts';
import { createImportRecords } from '../operations/import-records.ts';
import { openSigner, openStore, readOwnTrusted } from './site.ts';
import type { Terminal } from './terminal/terminal.ts';

/** The store and the signer of the configuration; the key is made where there is no configuration, the store with the first archive. */
export async function openImportTarget(config: Config, terminal: Terminal): Promise<ImportTarget> {
  const signer = await openSigner(config, terminal);
  const { storage, blobs, directory, custody } = await openStore(config, terminal, {
    write: true,
    whereNone: 'make-later',
  });
  const records = createImportRecords(storage);
  return { blobs, directory, custody, records, signer, trusted: await readOwnTrusted(config) };
}
