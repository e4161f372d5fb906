import { join } from 'node:path';
import { makeMedium } from '../../operations/make-medium.ts';
import type { CommonOptions } from '../common-options.ts';
import { createTerminal } from '../terminal/terminal.ts';

export interface InitOptions extends Omit<CommonOptions, 'config'> {
  readonly commonName?: string;
  readonly json?: boolean;
}

export async function init(folder: string, { commonName, json, quiet = false }: InitOptions): Promise<void> {
  const terminal = createTerminal({ quiet });
  const medium = await makeMedium(folder, commonName);
  if (json) {
    terminal.print(JSON.stringify(medium));
    return;
  }
  for (const path of medium.made) terminal.print(`made  ${path}`);
  for (const path of medium.kept) terminal.print(`kept  ${path}`);
  terminal.tell(
    [
      '',
      `Put archives into ${join(folder, 'software')}, then:`,
      `  cache import -c ${join(folder, 'config.ini')} ${join(folder, 'software')}`,
      `  cache serve -c ${join(folder, 'config.ini')}`,
      `Whoever has ${join(folder, 'miscellaneous', 'sign.key')} decides what nodes run as root: keep it where you import.`,
    ].join('\n'),
  );
}
