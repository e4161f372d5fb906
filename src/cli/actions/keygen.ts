import { ensureSigningKey } from '../../operations/signing-key.ts';
import type { KeygenOptions } from '../commands/keygen.ts';
import { warnOfExposure } from '../../operations/key-exposure.ts';
import { openSite } from '../site.ts';

export async function keygen({ commonName, json, ...options }: KeygenOptions): Promise<void> {
  const { config, terminal } = await openSite(options);
  const { signature } = config;
  const isNew = await ensureSigningKey(signature, commonName);
  const { privateKeyFile, certificateFile } = signature;
  await warnOfExposure(privateKeyFile, terminal);
  if (json) terminal.print(JSON.stringify({ made: isNew, privateKeyFile, certificateFile }));
  else {
    terminal.print(`${isNew ? 'made' : 'kept'}  ${privateKeyFile}`);
    terminal.print(`${isNew ? 'made' : 'kept'}  ${certificateFile}`);
  }
}
