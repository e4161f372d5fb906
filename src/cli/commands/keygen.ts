import { ensureSigningKey } from '../../operations/make-medium.ts';
import type { CommonOptions } from '../common-options.ts';
import { readConfig, warnOfExposure } from '../site.ts';
import { createTerminal } from '../terminal/terminal.ts';

export interface KeygenOptions extends CommonOptions {
  readonly commonName?: string;
  readonly json?: boolean;
}

export async function keygen({
  config: file,
  commonName,
  json,
  quiet = false,
}: KeygenOptions): Promise<void> {
  const terminal = createTerminal({ quiet });
  const { signature } = await readConfig(file);
  const isNew = await ensureSigningKey(signature, commonName);
  const { privateKeyFile, certificateFile } = signature;
  await warnOfExposure(privateKeyFile, terminal);
  if (json) terminal.print(JSON.stringify({ made: isNew, privateKeyFile, certificateFile }));
  else {
    terminal.print(`${isNew ? 'made' : 'kept'}  ${privateKeyFile}`);
    terminal.print(`${isNew ? 'made' : 'kept'}  ${certificateFile}`);
  }
}
