import { nearest } from '../cache/nearest.ts';
import { type IniDocument, configError } from './ini.ts';

/** The keys of each section; undefined if the section allows any key. */
export type KnownNames = ReadonlyMap<string, readonly string[] | undefined>;

/** Keys of a design that this version lacks: a setting must never be ignored silently. */
const RESERVED: ReadonlyMap<string, string> = new Map([
  ...['url', 'endpoint', 'region', 'path-style', 'local-cache', 'local-cache-size'].map(
    (key) =>
      [`[store] ${key}`, 'this version keeps the store in a folder; write path = FOLDER instead'] as const,
  ),
]);

/**
 * Refuses unknown sections and keys, and suggests a similar name.
 * @throws CacheError `config`
 */
export function verifyNames(document: IniDocument, known: KnownNames, file: string): void {
  for (const [name, section] of document) {
    if (!known.has(name)) {
      throw configError(file, section.line, `unknown section [${name}]; ${adviseSection(name, known)}`);
    }
    const keys = known.get(name);
    if (keys === undefined) continue;
    for (const [key, { line }] of section.keys) {
      if (keys.includes(key)) continue;
      const reason = RESERVED.get(`[${name}] ${key}`) ?? `unknown key; ${adviseKey(key, keys, known)}`;
      throw configError(file, line, `[${name}] ${key}: ${reason}`);
    }
  }
}

function adviseSection(name: string, known: KnownNames): string {
  const [guess] = nearest(name, known.keys(), { limit: 1 });
  if (guess !== undefined) return `did you mean [${guess}]?`;
  return `known are ${[...known.keys()].map((section) => `[${section}]`).join(', ')}`;
}

function adviseKey(key: string, keys: readonly string[], known: KnownNames): string {
  for (const [section, others] of known) if (others?.includes(key)) return `it belongs to [${section}]`;
  const [guess] = nearest(key, keys, { limit: 1 });
  return guess === undefined ? `known are ${keys.join(', ')}` : `did you mean ${guess}?`;
}
