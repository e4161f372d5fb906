import { warnOfExposure } from '../../operations/key-exposure.ts';
import { takeInventory } from '../../operations/medium/inventory.ts';
import { readSigner } from '../../operations/signing-key.ts';
import type { InventoryOptions } from '../commands/inventory.ts';
import { printJson } from '../json-output.ts';
import { openSite } from '../site.ts';

export async function inventory(options: InventoryOptions): Promise<void> {
  const site = await openSite(options);
  const { terminal, config } = site;
  const store = await site.store('read');
  const signer = await readSigner(config.signature);
  if (signer === undefined) terminal.tell('note: this site has no signing key: the inventory is not signed');
  else await warnOfExposure(config.signature.privateKeyFile, terminal);
  printJson('inventory', await takeInventory(store, signer), terminal);
}
