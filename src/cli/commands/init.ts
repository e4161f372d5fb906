import { join } from 'node:path';
import { CacheError } from '../../cache/errors.ts';
import { readCertificateFiles } from '../../operations/certificate-files.ts';
import { makeMedium, readSigner } from '../../operations/make-medium.ts';
import { describeCertificate } from '../../operations/medium/signed-document.ts';
import { trustCertificates } from '../../operations/trust-certificates.ts';
import type { CommonOptions } from '../common-options.ts';
import { readConfig, warnOfExposure } from '../site.ts';
import { createTerminal } from '../terminal/terminal.ts';

export interface InitOptions extends Omit<CommonOptions, 'config'> {
  readonly commonName?: string;
  readonly trust?: readonly string[];
  /** False with `--no-key`. */
  readonly key: boolean;
  readonly json?: boolean;
}

export async function init(
  folder: string,
  { commonName, trust = [], key: hasKey, json, quiet = false }: InitOptions,
): Promise<void> {
  const terminal = createTerminal({ quiet });
  if (!hasKey && trust.length === 0)
    throw new CacheError(
      'usage',
      '--no-key needs --trust: with no certificate at all nothing can be imported',
    );
  if (!hasKey && commonName !== undefined)
    throw new CacheError('usage', '--no-key makes no certificate; leave out --common-name');
  const trusted = await readCertificateFiles(trust);
  const medium = await makeMedium(folder, { commonName, trusted, hasKey });
  const configFile = join(folder, 'config.ini');
  const { known, added } = await trustCertificates(configFile, trusted);
  const changed = added.length === 0 ? [] : [configFile];
  const kept = medium.kept.filter((path) => !changed.includes(path));
  if (json) terminal.print(JSON.stringify({ made: medium.made, kept, changed }));
  else {
    for (const path of medium.made) terminal.print(`made  ${path}`);
    for (const path of kept) terminal.print(`kept  ${path}`);
    for (const path of changed) terminal.print(`changed  ${path}`);
  }
  for (const certificate of [...known, ...added])
    terminal.tell(`trusted: ${describeCertificate(certificate)}; compare this fingerprint with the signer's`);
  const key = join(folder, 'miscellaneous', 'sign.key');
  if (medium.hasKey) await warnOfExposure(key, terminal);
  if (!json)
    terminal.tell(
      ['', ...(medium.hasKey ? stepsWithKey(folder, configFile, key) : stepsWithoutKey(configFile))].join(
        '\n',
      ),
    );
  if (!hasKey && kept.includes(key))
    terminal.warn(
      `note: ${key} was there and is kept, and nodes are told to trust its certificate; if nothing was signed with it, move both files away`,
    );
  if (hasKey && !medium.hasKey && !(await hasKeyElsewhere(configFile)))
    terminal.warn(
      `note: ${configFile} was there, and no signing key; none was made. To sign here: cache keygen -c ${configFile}`,
    );
}

/** Whether a configuration that was there names a key in a place of its own. */
async function hasKeyElsewhere(configFile: string): Promise<boolean> {
  return (await readSigner((await readConfig(configFile)).signature)) !== undefined;
}

function stepsWithKey(folder: string, configFile: string, key: string): readonly string[] {
  return [
    `Put archives into ${join(folder, 'software')}, then:`,
    `  cache import -c ${configFile} ${join(folder, 'software')}`,
    `  cache serve -c ${configFile}`,
    `Whoever has ${key} decides what nodes run as root: keep it where you import.`,
  ];
}

function stepsWithoutKey(configFile: string): readonly string[] {
  return [
    'Wherever a medium of cache export is mounted:',
    `  cache import -c ${configFile} MEDIUM`,
    `  cache serve -c ${configFile}`,
  ];
}
