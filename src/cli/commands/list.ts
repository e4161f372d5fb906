import { formatPlatform } from '../../cache/platform.ts';
import { listReleases } from '../../operations/list-releases.ts';
import type { CommonOptions } from '../common-options.ts';
import { openStore, readConfig } from '../site.ts';
import { formatDate, formatSize } from '../terminal/format.ts';
import { formatTable } from '../terminal/table.ts';
import { createTerminal } from '../terminal/terminal.ts';

export interface ListOptions extends CommonOptions {
  readonly json?: boolean;
}

export async function list({ config: file, json, quiet = false }: ListOptions): Promise<void> {
  const terminal = createTerminal({ quiet });
  const { blobs, directory } = await openStore(await readConfig(file), terminal, { write: false });
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
