import { readSigner } from '../../operations/make-medium.ts';
import { takeInventory } from '../../operations/medium/inventory.ts';
import type { CommonOptions } from '../common-options.ts';
import { openStore, readConfig, warnOfExposure } from '../site.ts';
import { createTerminal } from '../terminal/terminal.ts';

export async function inventory({ config: file, quiet = false }: CommonOptions): Promise<void> {
  const terminal = createTerminal({ quiet });
  const config = await readConfig(file);
  const store = await openStore(config, terminal, { write: false });
  const signer = await readSigner(config.signature);
  if (signer === undefined) terminal.tell('note: this site has no signing key: the inventory is not signed');
  else await warnOfExposure(config.signature.privateKeyFile, terminal);
  terminal.print(JSON.stringify(await takeInventory(store, signer)));
}
