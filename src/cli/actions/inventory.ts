import { warnOfExposure } from '../../operations/key-exposure.ts';
import { takeInventory } from '../../operations/medium/inventory.ts';
import { hasSigningKey, readSigner } from '../../operations/signing-key.ts';
import type { CommonOptions } from '../command.ts';
import { openStoreSite } from '../site.ts';

export async function inventory(options: CommonOptions): Promise<void> {
  const site = await openStoreSite(options);
  const { terminal, config } = site;
  const store = await site.store('read');
  const { signature } = config;
  const signer = (await hasSigningKey(signature)) ? await readSigner(signature) : undefined;
  if (signer === undefined) terminal.tell('note: this site has no signing key: the inventory is not signed');
  else await warnOfExposure(signature.privateKeyFile, terminal);
  terminal.print(JSON.stringify(await takeInventory(store, signer)));
}
