import { z } from 'zod';
import { baseOf, type ConfigSource, TABLES } from './config.ts';
import { parseIni } from './ini.ts';
import { createSections } from './schema.ts';
import { withoutPassword } from './value.ts';

/** A key of a configuration and its effective value. */
export interface ConfigValue {
  readonly section: string;
  readonly key: string;
  /**
   * As the program uses it: paths are absolute, sizes in bytes, durations in milliseconds, lists have an item each; without
   * secrets, and user names and passwords of URLs. Undefined: not set, and there is no default.
   */
  readonly value: unknown;
  /** As a person writes it; empty if it is not set. */
  readonly text: string;
  /** Its line in the file; undefined: it is the default. */
  readonly line: number | undefined;
}

/**
 * All keys of a valid configuration, those of `[software]` and `[pin]` only if the file has them.
 * @param text without faults
 */
export function listConfigValues(text: string, source: ConfigSource): readonly ConfigValue[] {
  const document = parseIni(text, source.file ?? 'configuration');
  const values: ConfigValue[] = [];
  for (const [section, { shape }] of Object.entries(createSections(baseOf(source)))) {
    for (const [key, schema] of Object.entries<z.ZodType>(shape)) {
      const found = document.get(section)?.keys.get(key);
      const parsed: unknown = schema.parse(found?.value);
      const value = key === 'secret-access-key' && parsed !== undefined ? '…' : withoutPasswords(parsed);
      const written = found?.value ?? defaultTextOf(schema);
      values.push({ section, key, value, text: textOf(value, written), line: found?.line });
    }
  }
  for (const section of TABLES) {
    for (const { name, value: url, line } of document.get(section)?.keys.values() ?? []) {
      const value = withoutPassword(url.trim());
      values.push({ section, key: name, value, text: value, line });
    }
  }
  return values;
}

function withoutPasswords(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutPasswords);
  return typeof value === 'string' ? withoutPassword(value) : value;
}

/** Numbers are shown as they are written: with their units. */
function textOf(value: unknown, written: string): string {
  if (Array.isArray(value)) return value.join(' ');
  return typeof value === 'string' || typeof value === 'boolean' ? String(value) : written.trim();
}

function defaultTextOf(schema: z.ZodType): string {
  if (!(schema instanceof z.ZodPrefault || schema instanceof z.ZodDefault)) return '';
  return String(schema.def.defaultValue);
}
