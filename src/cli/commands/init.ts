import { X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { CacheError } from '../../cache/errors.ts';
import { readCertificateFiles } from '../../operations/certificate-files.ts';
import { formatTrusted, makeMedium } from '../../operations/make-medium.ts';
import { describeCertificate } from '../../operations/medium/signed-document.ts';
import type { CommonOptions } from '../common-options.ts';
import { EXIT, endWith } from '../exit-code.ts';
import { readConfig, readOwnTrusted } from '../site.ts';
import { createTerminal, type Terminal } from '../terminal/terminal.ts';

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
  if (json) terminal.print(JSON.stringify(medium));
  else {
    for (const path of medium.made) terminal.print(`made  ${path}`);
    for (const path of medium.kept) terminal.print(`kept  ${path}`);
  }
  const configFile = join(folder, 'config.ini');
  await tellTrusted(configFile, trusted, terminal);
  if (json) return;
  const key = join(folder, 'miscellaneous', 'sign.key');
  terminal.tell(
    ['', ...(hasKey ? stepsWithKey(folder, configFile, key) : stepsWithoutKey(configFile))].join('\n'),
  );
  if (!hasKey && medium.kept.includes(key))
    terminal.warn(
      `note: ${key} was there and is kept, and nodes are told to trust its certificate; if nothing was signed with it, move both files away`,
    );
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

/** A config.ini that was there is kept: what it lacks is for a person to add. */
async function tellTrusted(
  configFile: string,
  trusted: readonly string[],
  terminal: Terminal,
): Promise<void> {
  if (trusted.length === 0) return;
  const { certificates } = await readOwnTrusted(await readConfig(configFile));
  const known = new Set(certificates.map(({ fingerprint256 }) => fingerprint256));
  const missing: string[] = [];
  for (const pem of trusted) {
    const certificate = new X509Certificate(pem);
    if (known.has(certificate.fingerprint256))
      terminal.tell(
        `trusted: ${describeCertificate(certificate)}; compare this fingerprint with the signer's`,
      );
    else missing.push(pem);
  }
  if (missing.length === 0) return;
  terminal.warn(
    `cache: ${configFile} was there and is kept; to trust what it does not list yet, put this into its [signature]; where signature-certificate-list stands there already, put what is missing below what it has:\n${formatTrusted(missing)}`,
  );
  endWith(EXIT.incomplete);
}
