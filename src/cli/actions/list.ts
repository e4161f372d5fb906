import { formatPlatform } from '../../cache/platform.ts';
import { listReleases } from '../../operations/list-releases.ts';
import type { ListOptions } from '../commands/list.ts';
import { openSite } from '../site.ts';
import { formatDate, formatSize } from '../terminal/format.ts';
import { formatTable } from '../terminal/table.ts';

export async function list({ json, ...options }: ListOptions): Promise<void> {
  const site = await openSite(options);
  const { terminal } = site;
  const { blobs, directory } = await site.store('read');
  const releases = await listReleases(directory, blobs);
  if (json) {
    terminal.print(JSON.stringify(releases, undefined, 2));
    return;
  }
  if (releases.length === 0) {
    terminal.tell('the store has no software release; fill it with: cache import FOLDER');
    return;
  }
  const rows = releases.flatMap(({ softwareUrl, builds }) =>
    builds.map(({ platform, size, received }) => [
      formatPlatform(platform),
      size === undefined ? 'MISSING' : formatSize(size),
      formatDate(received),
      softwareUrl,
    ]),
  );
  terminal.print(formatTable(['PLATFORM', 'SIZE', 'RECEIVED', 'URL'], rows));
}
