import { dirname, resolve } from 'node:path';
import type { CacheError } from '../cache/errors.ts';
import type { AccessConfig } from './access-section.ts';
import { type IniDocument, configError, parseIni } from './ini.ts';
import { type ConfigFault, faultsOfNames } from './known-names.ts';
import { createConfigSchema, createSections } from './schema.ts';
import type { ServerConfig } from './server-section.ts';
import type { SoftwareTable } from './software-table.ts';
import type { StoreConfig } from './store-section.ts';
import type { UpstreamConfig } from './upstream-section.ts';

/** The values of config.ini, or their defaults; frozen, all paths absolute. */
export interface Config {
  /** Absolute path of the file; undefined if there is no file. */
  readonly file: string | undefined;
  /** Absolute path of the folder that relative paths in the file begin from. */
  readonly folder: string;
  /** Whether `-c` names the file: without it, another configuration is found, or none. */
  readonly isNamed: boolean;
  /** Whether the file was found in the current folder, not named by the user. */
  readonly isOfFolder: boolean;
  readonly server: ServerConfig;
  readonly store: StoreConfig;
  readonly signature: SignatureConfig;
  readonly software: SoftwareTable;
  /** Releases that neither `cache gc` nor `cache remove` deletes. */
  readonly pin: SoftwareTable;
  readonly upload: UploadConfig;
  readonly access: AccessConfig;
  readonly upstream: UpstreamConfig | undefined;
}

/** `[signature]` */
interface SignatureConfig {
  readonly privateKeyFile: string;
  readonly certificateFile: string;
  /** PEM texts of `signature-certificate-list`; the certificate of `certificateFile` is also trusted. */
  readonly trustedCertificates: readonly string[];
}

/** `[upload]` */
interface UploadConfig {
  /** Bytes. */
  readonly maxBlobSize: number;
  /** Bytes that must stay free on the store's file system. */
  readonly minFreeSpace: number;
  readonly allowUnsigned: boolean;
}

/** The source of a configuration text. */
export interface ConfigSource {
  /** Its file, for messages. */
  readonly file?: string | undefined;
  /** Absolute path of the base of relative paths: the folder of `file` by default. */
  readonly folder?: string | undefined;
  /** See `Config`. */
  readonly isNamed?: boolean;
  readonly isOfFolder?: boolean;
  /** Base of a relative `file`; without a file and a folder, base of relative paths. */
  readonly cwd: string;
}

/**
 * Reads the text of a config.ini. Of several faults the first in the file is reported.
 * @throws CacheError `config`, as `FILE:LINE: [section] key: fault; advice`
 */
export function parseConfig(text: string, source: ConfigSource): Config {
  const { config, faults } = inspectConfig(text, source);
  if (config !== undefined) return config;
  throw faults[0] ?? configError(labelOf(source), undefined, 'is not a configuration');
}

/** A configuration, or all its faults in the order of the file. */
export type ConfigInspection =
  | { readonly config: Config; readonly faults: readonly [] }
  | { readonly config: undefined; readonly faults: readonly CacheError[] };

/**
 * Reads the text of a config.ini.
 * @throws CacheError `config`: it can't be split into sections and keys
 */
export function inspectConfig(text: string, source: ConfigSource): ConfigInspection {
  const { file, isNamed = false, isOfFolder = false, cwd } = source;
  const label = labelOf(source);
  const folder = baseOf(source);
  const document = parseIni(text, label);
  const sections = createSections(folder);
  const known = new Map<string, readonly string[] | undefined>(TABLES.map((name) => [name, undefined]));
  for (const [name, section] of Object.entries(sections)) known.set(name, Object.keys(section.shape));
  const input = Object.fromEntries(
    Array.from(known.keys(), (name) => [name, textsOf(document, name)] as const),
  );
  const tables = Object.fromEntries(TABLES.map((name) => [name, tableOf(document, name)] as const));
  const result = createConfigSchema(sections).safeParse({ ...input, ...tables });
  const names = faultsOfNames(document, known);
  if (result.success && names.length === 0) {
    const path = file === undefined ? undefined : resolve(cwd, file);
    return { config: freezeDeep({ file: path, folder, isNamed, isOfFolder, ...result.data }), faults: [] };
  }
  const values = result.success ? [] : faultsOfValues(result.error.issues, document);
  const faults = [...names, ...values].sort((a, b) => (a.line ?? 0) - (b.line ?? 0));
  return { config: undefined, faults: faults.map(({ line, message }) => configError(label, line, message)) };
}

function labelOf({ file, cwd }: ConfigSource): string {
  return file === undefined ? 'configuration' : resolve(cwd, file);
}

/** The folder that relative paths begin from. */
export function baseOf({ file, folder, cwd }: ConfigSource): string {
  return folder ?? (file === undefined ? cwd : dirname(resolve(cwd, file)));
}

/** Sections whose keys are names chosen by the user. */
export const TABLES = ['software', 'pin'] as const;

function tableOf(document: IniDocument, section: string): ReadonlyMap<string, string> {
  const keys = document.get(section)?.keys.values() ?? [];
  return new Map(Array.from(keys, ({ name, value }) => [name, value]));
}

/** The configuration without a config.ini. */
export function defaultConfig(cwd: string): Config {
  return parseConfig('', { cwd });
}

function textsOf(document: IniDocument, section: string): Readonly<Record<string, string>> {
  const keys = document.get(section)?.keys ?? [];
  return Object.fromEntries(Array.from(keys, ([key, { value }]) => [key, value] as const));
}

interface Issue {
  readonly path: readonly PropertyKey[];
  readonly message: string;
}

function faultsOfValues(issues: readonly Issue[], document: IniDocument): readonly ConfigFault[] {
  return issues.map(({ path: [section, key], message }) => {
    const found = document.get(String(section));
    return {
      line: found?.keys.get(String(key).toLowerCase())?.line ?? found?.line,
      message: `[${String(section)}] ${String(key)}: ${message}`,
    };
  });
}

function freezeDeep<Value>(value: Value): Value {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  Object.freeze(value);
  for (const part of Object.values(value)) freezeDeep(part);
  return value;
}
