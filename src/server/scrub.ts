import { messageOf } from '../cache/errors.ts';
import type { Site } from '../operations/site.ts';
import { createScrub, type Scrub } from '../operations/upkeep/scrub.ts';
import type { ServerLog } from './server-log.ts';

/** Checks the store at the configured interval; undefined without an interval. */
export async function createStoreScrub(site: Site, log: ServerLog): Promise<Scrub | undefined> {
  const { location, config } = site;
  const { scrubInterval } = config.store;
  if (scrubInterval === undefined) return undefined;
  return createScrub({
    interval: scrubInterval,
    trusted: await site.trusted(),
    allowUnsigned: config.upload.allowUnsigned,
    open: () => site.storeAt(location, 'upkeep'),
    onBegin: () => {
      log.info(`checking the store ${location}`);
    },
    onFinding: (finding) => {
      log.finding(finding);
    },
    onEnd: ({ findings }, { entries, blobs }) => {
      const looked = `checked the store: entries: ${entries}, blobs: ${blobs}`;
      if (findings === 0) log.info(`${looked}: nothing wrong`);
      else
        log.warn(
          `${looked}, findings: ${findings}; cache verify --heal-from replaces damage with good copies`,
        );
    },
    onFailure: (error) => {
      log.warn(`the check of the store did not go well: ${messageOf(error)}`);
    },
  });
}
