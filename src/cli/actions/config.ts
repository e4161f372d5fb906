import { dirname } from 'node:path';
import { CacheError } from '../../cache/errors.ts';
import { signerNameOf } from '../../cache/signature.ts';
import { type Config, inspectConfig } from '../../config/config.ts';
import {
  configFolderOf,
  type ConfigPlace,
  type ConfigSearch,
  findConfigFile,
  listConfigPlaces,
  loadConfig,
  readConfigText,
} from '../../config/config-file.ts';
import { type ConfigValue, listConfigValues } from '../../config/config-values.ts';
import { findConfigFaults } from '../../operations/check-config.ts';
import { checkKeyIsInside, checkWrittenIsInside } from '../../operations/check-paths.ts';
import { listTrusted, type TrustedCertificate } from '../../operations/trust-certificates.ts';
import type { ConfigOptions } from '../commands/config.ts';
import { EXIT, endWith } from '../exit-code.ts';
import { printJson } from '../json-output.ts';
import { configSearch } from '../site.ts';
import { formatTable } from '../terminal/table.ts';
import { createTerminal, type Terminal } from '../terminal/terminal.ts';

/** Variables that change what commands do, beside `SHACACHE_CONFIG`; of two cases of a name the first one counts. */
const VARIABLES = [
  ['http_proxy', 'HTTP_PROXY'],
  ['https_proxy', 'HTTPS_PROXY'],
  ['no_proxy', 'NO_PROXY'],
  ['NODE_EXTRA_CA_CERTS'],
  ['SSL_CERT_FILE'],
  ['SSL_CERT_DIR'],
] as const;

interface ShownValue extends ConfigValue {
  readonly from: 'file' | 'default' | 'environment';
}

export async function showConfig({ config: option, json, quiet = false }: ConfigOptions): Promise<void> {
  const terminal = createTerminal({ quiet });
  const search = configSearch(option);
  const places = await listConfigPlaces(search);
  const file = places.find(({ state }) => state === 'used')?.file;
  const config = await loadConfig(search).catch((error: unknown) => {
    if (!json) terminal.print(formatPlaces(places));
    throw error;
  });
  const text = file === undefined ? '' : await readConfigText(file);
  const values = [...(await valuesOf(text, config)), ...variables()];
  if (json)
    printJson(
      'config',
      {
        file: file ?? null,
        folder: config.folder,
        places: places.map((place) => ({ ...place, file: place.file ?? null })),
        values: values.map((value) => ({ ...value, value: value.value ?? null, line: value.line ?? null })),
      },
      terminal,
    );
  else {
    terminal.print(`${formatValues(values)}\n\n${formatPlaces(places)}`);
    tellOfFolder(config, terminal);
  }
  await checkKeyIsInside(config);
}

function formatPlaces(places: readonly ConfigPlace[]): string {
  return formatTable(
    ['SEARCHED', 'STATE', 'FILE'],
    places.map(({ place, state, file = '' }) => [place, state, file]),
  );
}

async function valuesOf(text: string, config: Config): Promise<readonly ShownValue[]> {
  const { file, folder, server } = config;
  const trusted = await listTrusted(config);
  return listConfigValues(text, { file, folder, cwd: folder }).map((value) => {
    const shown = { ...value, from: value.line === undefined ? 'default' : 'file' } as const;
    // What applies without this key depends on the others.
    if (value.section === 'server' && value.key === 'tls')
      return { ...shown, value: server.tls.mode, text: server.tls.mode };
    return value.key === 'signature-certificate-list'
      ? { ...shown, ...namesOf(trusted.filter(({ from }) => from === value.section)) }
      : shown;
  });
}

function namesOf(trusted: readonly TrustedCertificate[]): Pick<ConfigValue, 'value' | 'text'> {
  const value = trusted.map(({ certificate }) => signerNameOf(certificate));
  return { value, text: value.map(({ name, fingerprint }) => `"${name}" (${fingerprint})`).join(', ') };
}

function variables(): readonly ShownValue[] {
  return VARIABLES.flatMap((names) => {
    const key = names.find((name) => (process.env[name] ?? '') !== '');
    if (key === undefined) return [];
    const value = (process.env[key] ?? '').replace(/^(\w+:\/\/)?.*@/, '$1…@');
    return [{ section: 'environment', key, value, text: value, line: undefined, from: 'environment' }];
  });
}

/** The values that somebody set come last, where a person looks first. */
function formatValues(values: readonly ShownValue[]): string {
  const isDefault = ({ from }: ShownValue): boolean => from === 'default';
  const rows = [...values.filter(isDefault), ...values.filter((value) => !isDefault(value))].map(
    ({ section, key, from, line, text }) => [
      from === 'environment' ? `$${key}` : `[${section}] ${key}`,
      from === 'file' ? `line ${line ?? ''}` : from,
      text === '' ? 'none' : text,
    ],
  );
  return formatTable(['KEY', 'FROM', 'VALUE'], rows);
}

function tellOfFolder({ file, folder }: Config, terminal: Terminal): void {
  if (file === undefined) terminal.tell('\nNo config.ini found: the defaults apply.');
  else if (folder !== dirname(file))
    terminal.tell(`\nRelative paths begin in ${folder}, where ${file} leads.`);
}

export async function checkConfig(argument: string | undefined, options: ConfigOptions): Promise<void> {
  const { json, quiet = false } = options;
  if (argument !== undefined && options.config !== undefined)
    throw new CacheError('usage', 'FILE and --config name two configurations; leave out one of them');
  const notes: string[] = [];
  const note = (text: string): void => void notes.push(text.replace(/^(?:cache|note): /, ''));
  const search = configSearch(argument ?? options.config);
  const file = await findConfigFile(search);
  const faults = await faultsOf(file, search, { tell: note, warn: note, fail: note });
  const terminal = createTerminal({ quiet });
  if (json) {
    const messages = faults.map(({ message }) => message);
    printJson('config check', { file: file ?? null, faults: messages, notes }, terminal);
  } else {
    for (const { message } of faults) terminal.say(message);
    for (const text of notes) terminal.tell(`note: ${text}`);
    const name = file ?? `no config.ini found in ${search.cwd}; the defaults`;
    terminal.tell(
      faults.length === 0
        ? `${name}: no fault found`
        : `${name}: ${faults.length} ${faults.length === 1 ? 'fault' : 'faults'}`,
    );
  }
  if (faults.length > 0) endWith(EXIT.usage);
}

async function faultsOf(
  file: string | undefined,
  search: ConfigSearch,
  messages: Parameters<typeof findConfigFaults>[1],
): Promise<readonly CacheError[]> {
  try {
    if (file !== undefined) {
      const folder = await configFolderOf(file);
      const { faults } = inspectConfig(await readConfigText(file), { file, folder, cwd: search.cwd });
      if (faults.length > 0) return faults;
    }
    const config = await loadConfig(search);
    const refused = await Promise.all([
      checkKeyIsInside(config).catch(faultOf),
      checkWrittenIsInside(config, true).catch(faultOf),
    ]);
    return [...refused.filter((fault) => fault !== undefined), ...(await findConfigFaults(config, messages))];
  } catch (error) {
    return [faultOf(error)];
  }
}

/** @throws the error, if it is no fault of a configuration */
function faultOf(error: unknown): CacheError {
  if (error instanceof CacheError && error.code === 'config') return error;
  throw error;
}
