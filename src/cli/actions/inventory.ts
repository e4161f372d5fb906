import { warnOfExposure } from '../../operations/key-exposure.ts';
import { takeInventory } from '../../operations/medium/inventory.ts';
import { hasSigningKey, readSigner } from '../../operations/signing-key.ts';
import type { InventoryOptions } from '../commands/inventory.ts';
import { printJson } from '../json-output.ts';
import { openStoreSite } from '../site.ts';

export async function inventory(options: InventoryOptions): Promise<void> {
  const site = await openStoreSite(options);
  const { terminal, config } = site;
  const store = await site.store('read');
  const { signature } = config;
  const signer = (await hasSigningKey(signature)) ? await readSigner(signature) : undefined;
  if (signer === undefined) terminal.tell('note: this site has no signing key: the inventory is not signed');
  else await warnOfExposure(config.signature.privateKeyFile, terminal);
  printJson('inventory', await takeInventory(store, signer), terminal);
}
