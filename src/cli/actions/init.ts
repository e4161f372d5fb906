import { join, resolve } from 'node:path';
import { CacheError } from '../../cache/errors.ts';
import { readCertificateFiles } from '../../operations/certificate-files.ts';
import { commandOf } from '../../operations/command-line.ts';
import { accessOf } from '../../operations/site.ts';
import { hasSigningKey } from '../../operations/signing-key.ts';
import { makeSiteFolder } from '../../operations/site-folder.ts';
import { describeCertificate } from '../../operations/medium/signed-document.ts';
import { openMediumRoot } from '../../operations/medium/medium-root.ts';
import { ownProgram, placeProgram } from '../../operations/medium/program.ts';
import { trustCertificates } from '../../operations/trust-certificates.ts';
import type { InitOptions } from '../commands/init.ts';
import { warnOfExposure } from '../../operations/key-exposure.ts';
import { makeStore } from '../../storage/open-store.ts';
import { printJson } from '../json-output.ts';
import { openSite, readConfig } from '../site.ts';
import { createTerminal } from '../terminal/terminal.ts';

export async function init(folder: string | undefined, options: InitOptions): Promise<void> {
  if (folder === undefined) {
    await initStore(options);
    return;
  }
  if (options.config !== undefined)
    throw new CacheError('usage', 'DIR and --config name two sites; leave out one of them');
  const { commonName, trust = [], key: hasKey, json = false, quiet = false } = options;
  const terminal = createTerminal({ quiet, json });
  if (!hasKey && trust.length === 0)
    throw new CacheError(
      'usage',
      '--no-key needs --trust: a site without any certificate can import nothing',
    );
  if (!hasKey && commonName !== undefined)
    throw new CacheError('usage', '--no-key makes no certificate; leave out --common-name');
  const trusted = await readCertificateFiles(trust);
  const medium = await makeSiteFolder(folder, { commonName, trusted, hasKey });
  const program = await placeProgram(
    await openMediumRoot(resolve(folder)),
    options.program ?? ownProgram(),
    options.program === undefined
      ? (reason) => {
          terminal.warn(`note: ${folder} does not get the program itself: ${reason}`);
        }
      : undefined,
  );
  const made = [...medium.made, ...program.made.map((name) => join(folder, name))];
  const configFile = join(folder, 'config.ini');
  const { known, added } = await trustCertificates(configFile, trusted);
  const changed = added.length === 0 ? [] : [configFile];
  const kept = [...medium.kept, ...program.kept.map((name) => join(folder, name))].filter(
    (path) => !changed.includes(path),
  );
  if (json) printJson('init', { made, kept, changed }, terminal);
  else {
    for (const path of made) terminal.print(`made  ${path}`);
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
      `note: kept the existing ${key}; nodes will trust its certificate. If it has signed nothing, move both files away`,
    );
  if (hasKey && !medium.hasKey && !(await hasKeyElsewhere(configFile)))
    terminal.warn(
      `note: kept the existing ${configFile}, which has no signing key; made none. To sign here: ${commandFor(configFile, 'keygen')}`,
    );
}

/** Makes the store of a configuration. */
async function initStore(options: InitOptions): Promise<void> {
  const { json, commonName, trust, program, key } = options;
  const others = [commonName, trust, program].filter((option) => option !== undefined);
  if (options.config === undefined || others.length > 0 || !key)
    throw new CacheError(
      'usage',
      'name the folder of the site: cache init DIR; or, to make only the store of a configuration: cache init -c FILE',
    );
  const { location, config, terminal } = await openSite(options);
  const isNew = await makeStore(location, { access: await accessOf(location, config) });
  if (json)
    printJson(
      'init',
      { made: isNew ? [location] : [], kept: isNew ? [] : [location], changed: [] },
      terminal,
    );
  else terminal.print(`${isNew ? 'made' : 'kept'}  ${location}`);
}

/** Whether an existing configuration names a key in another folder. */
async function hasKeyElsewhere(configFile: string): Promise<boolean> {
  return hasSigningKey((await readConfig(configFile)).signature);
}

function stepsWithKey(folder: string, configFile: string, key: string): readonly string[] {
  return [
    `Put archives into ${join(folder, 'software')}, then:`,
    `  ${commandFor(configFile, 'import', [join(folder, 'software')])}`,
    `  ${commandFor(configFile, 'serve')}`,
    `The holder of ${key} decides what nodes run as root: keep it only where you import.`,
  ];
}

function stepsWithoutKey(configFile: string): readonly string[] {
  return [
    'To import and serve a medium of cache export:',
    `  ${commandFor(configFile, 'import MEDIUM')}`,
    `  ${commandFor(configFile, 'serve')}`,
  ];
}

/** It names the configuration: the next command may run in another folder. */
function commandFor(configFile: string, call: string, words?: readonly string[]): string {
  return commandOf({ file: configFile, isNamed: true }, call, words);
}
