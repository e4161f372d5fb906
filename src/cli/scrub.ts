import { createBlobs } from '../cache/blobs.ts';
import { createDirectory } from '../cache/directory.ts';
import type { TrustedCertificates } from '../cache/signature.ts';
import type { Config } from '../config/config.ts';
import { createScrub, type Scrub } from '../operations/upkeep/scrub.ts';
import { openStorageForUpkeep } from '../storage/filesystem.ts';
import { createStoreUpkeep } from '../storage/store-upkeep.ts';
import type { ServerLog } from './request-log.ts';
import { openCustody } from './site.ts';
import { formatCount } from './terminal/format.ts';

/** Checks the store as often as the configuration says; undefined when it says nothing. */
export function createStoreScrub(
  config: Config,
  trusted: TrustedCertificates,
  log: ServerLog,
): Scrub | undefined {
  const { path, scrubInterval } = config.store;
  if (scrubInterval === undefined) return undefined;
  return createScrub({
    interval: scrubInterval,
    trusted,
    allowUnsigned: config.upload.allowUnsigned,
    open: async () => {
      const { storage, markFault } = await openStorageForUpkeep(path, config.upload);
      return {
        ...{ storage, markFault },
        blobs: createBlobs(storage),
        directory: createDirectory(storage),
        custody: openCustody(storage),
        upkeep: createStoreUpkeep(path),
      };
    },
    onBegin: () => {
      log.info(`checking the store ${path}`);
    },
    onFinding: (finding) => {
      log.finding(finding);
    },
    onEnd: ({ findings }, { entries, blobs }) => {
      const looked = `checked the store: ${formatCount(entries, 'entry')}, ${formatCount(blobs, 'blob')}`;
      if (findings === 0) log.info(`${looked}: nothing wrong`);
      else log.warn(`${looked}: ${formatCount(findings, 'finding')}; cache verify --heal-from mends them`);
    },
    onFailure: (error) => {
      log.warn(
        `the check of the store did not go well: ${error instanceof Error ? error.message : String(error)}`,
      );
    },
  });
}
