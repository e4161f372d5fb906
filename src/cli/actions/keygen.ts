import { checkCertificateIsInside } from '../../operations/check-paths.ts';
import { ensureSigningKey } from '../../operations/signing-key.ts';
import type { KeygenOptions } from '../commands/keygen.ts';
import { warnOfExposure } from '../../operations/key-exposure.ts';
import { printJson } from '../json-output.ts';
import { openSite } from '../site.ts';

export async function keygen(options: KeygenOptions): Promise<void> {
  const { commonName, json } = options;
  const { config, terminal } = await openSite(options);
  await checkCertificateIsInside(config);
  const { signature } = config;
  const isNew = await ensureSigningKey(signature, commonName);
  const { privateKeyFile, certificateFile } = signature;
  await warnOfExposure(privateKeyFile, terminal);
  const status = isNew ? 'made' : 'kept';
  if (json) printJson('keygen', { status, privateKeyFile, certificateFile }, terminal);
  else {
    terminal.print(`${status}  ${privateKeyFile}`);
    terminal.print(`${status}  ${certificateFile}`);
  }
}
