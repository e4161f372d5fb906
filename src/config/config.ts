import { dirname, resolve } from 'node:path';
import type { AccessConfig } from './access-section.ts';
import { type IniDocument, configError, parseIni } from './ini.ts';
import { verifyNames } from './known-names.ts';
import { createConfigSchema, createSections } from './schema.ts';
import type { ServerConfig } from './server-section.ts';
import type { SoftwareTable } from './software-table.ts';
import type { UpstreamConfig } from './upstream-section.ts';

/** The values of config.ini, or their defaults; frozen, all paths absolute. */
export interface Config {
  /** Absolute path of the file; undefined if there is no file. */
  readonly file: string | undefined;
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

/** `[store]` */
interface StoreConfig {
  /** The store's folder. */
  readonly path: string;
  /** Milliseconds between two checks of the whole store by the server; undefined: no checks. */
  readonly scrubInterval: number | undefined;
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
  /** Its file, for messages and as base of relative paths. */
  readonly file?: string | undefined;
  /** See `Config`. */
  readonly isNamed?: boolean;
  readonly isOfFolder?: boolean;
  /** Base of a relative `file`; without a file, base of relative paths. */
  readonly cwd: string;
}

/**
 * Reads the text of a config.ini. Of several faults the first in the file is reported.
 * @throws CacheError `config`, as `FILE:LINE: [section] key: fault; advice`
 */
export function parseConfig(
  text: string,
  { file, isNamed = false, isOfFolder = false, cwd }: ConfigSource,
): Config {
  const path = file === undefined ? undefined : resolve(cwd, file);
  const label = path ?? 'configuration';
  const document = parseIni(text, label);
  const sections = createSections(path === undefined ? cwd : dirname(path));
  const known = new Map<string, readonly string[] | undefined>(TABLES.map((name) => [name, undefined]));
  for (const [name, section] of Object.entries(sections)) known.set(name, Object.keys(section.shape));
  verifyNames(document, known, label);

  const input = Object.fromEntries(
    Array.from(known.keys(), (name) => [name, textsOf(document, name)] as const),
  );
  const tables = Object.fromEntries(TABLES.map((name) => [name, tableOf(document, name)] as const));
  const result = createConfigSchema(sections).safeParse({ ...input, ...tables });
  if (!result.success) throw firstFault(result.error.issues, document, label);
  return freezeDeep({ file: path, isNamed, isOfFolder, ...result.data });
}

/** Sections whose keys are names chosen by the user. */
const TABLES = ['software', 'pin'] as const;

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

function firstFault(issues: readonly Issue[], document: IniDocument, label: string): Error {
  const faults = issues.map(({ path: [section, key], message }) => {
    const found = document.get(String(section));
    return {
      line: found?.keys.get(String(key).toLowerCase())?.line ?? found?.line,
      message: `[${String(section)}] ${String(key)}: ${message}`,
    };
  });
  faults.sort((a, b) => (a.line ?? 0) - (b.line ?? 0));
  const [first] = faults;
  return configError(label, first?.line, first?.message ?? 'is not a configuration');
}

function freezeDeep<Value>(value: Value): Value {
  if (typeof value !== 'object' || value === null || Object.isFrozen(value)) return value;
  Object.freeze(value);
  for (const part of Object.values(value)) freezeDeep(part);
  return value;
}
