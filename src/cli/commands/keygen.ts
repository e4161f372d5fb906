import { ensureSigningKey } from '../../operations/signing-key.ts';
import type { CommonOptions } from '../common-options.ts';
import { warnOfExposure } from '../../operations/key-exposure.ts';
import { openSite } from '../site.ts';

export interface KeygenOptions extends CommonOptions {
  readonly commonName?: string;
  readonly json?: boolean;
}

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
