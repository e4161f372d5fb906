import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { CacheError } from '../src/cache/errors.ts';
import { loadConfig } from '../src/config/config-file.ts';
import { warnOfExposure } from '../src/operations/key-exposure.ts';
import { readSigner } from '../src/operations/signing-key.ts';

/**
 * Signs a list of checksums with the key of a site, as `cache export` signs packages.sha512, for `openssl dgst -sha512 -verify`:
 * `sign-checksums.ts CONFIG FILE` writes FILE.sig, and the certificate as sign.crt beside it.
 */
const [option, file] = process.argv.slice(2);
try {
  if (option === undefined || file === undefined)
    throw new CacheError('usage', 'usage: sign-checksums.ts CONFIG FILE');
  const { signature } = await loadConfig({ option, env: {}, cwd: process.cwd() });
  const signer = await readSigner(signature);
  if (signer === undefined)
    throw new CacheError('config', `${option}: no signing key; make one with: cache keygen -c ${option}`);
  await warnOfExposure(signature.privateKeyFile, { warn: (text) => process.stderr.write(`${text}\n`) });
  const [, signed] = signer.signDocument(await readFile(file, 'utf8'));
  await writeFile(`${file}.sig`, Buffer.from(signed, 'base64'));
  await writeFile(join(dirname(file), 'sign.crt'), signer.certificate);
} catch (error) {
  if (!(error instanceof CacheError)) throw error;
  process.stderr.write(`sign-checksums: ${error.message}\n`);
  process.exitCode = 2;
}
