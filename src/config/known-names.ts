import { nearest } from '../cache/nearest.ts';
import type { IniDocument } from './ini.ts';

/** The keys of each section; undefined if the section allows any key. */
export type KnownNames = ReadonlyMap<string, readonly string[] | undefined>;

/** A fault of a configuration; `line` counts from 1, undefined for the whole file. */
export interface ConfigFault {
  readonly line: number | undefined;
  readonly message: string;
}

/** The unknown sections and keys of a file, each with a similar name. */
export function faultsOfNames(document: IniDocument, known: KnownNames): readonly ConfigFault[] {
  const faults: ConfigFault[] = [];
  for (const [name, section] of document) {
    if (!known.has(name)) {
      const message = `unknown section [${name}]; ${adviseSection(name, known)}`;
      faults.push({ line: section.line, message });
    }
    const keys = known.get(name);
    if (keys === undefined) continue;
    for (const [key, { line }] of section.keys) {
      if (keys.includes(key)) continue;
      faults.push({ line, message: `[${name}] ${key}: unknown key; ${adviseKey(key, keys, known)}` });
    }
  }
  return faults;
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
