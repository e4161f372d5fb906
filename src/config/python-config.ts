import { configError, outlineIni, type OutlinedSection } from './ini.ts';

/** The values of one section, by lower-cased key, with those of `[DEFAULT]`. */
export type PythonSection = ReadonlyMap<string, string>;

/** A file as Python's `configparser.ConfigParser()` reads it. */
export interface PythonConfig {
  /** Of the sections, without `[DEFAULT]`. */
  readonly names: readonly string[];
  /**
   * A section, its values interpolated; undefined if it is missing.
   * @throws CacheError `config`, as `FILE:LINE: fault; advice`: Python can't interpolate a value
   */
  section(name: string): PythonSection | undefined;
}

const DEFAULT = 'DEFAULT';
/** `configparser.MAX_INTERPOLATION_DEPTH` */
const DEPTH_LIMIT = 10;
/** Characters of a section's values: references to references multiply. */
const LENGTH_LIMIT = 16 * 1024 * 1024;
const REFERENCE = /%\(([^)]+)\)s/y;

/**
 * Reads a file such as slapos.cfg. `slapos` and `networkcache-download` read it so.
 * @param file name of the text in errors
 * @throws CacheError `config`, as `FILE:LINE: fault; advice`: Python refuses it, or it has control characters
 */
export function parsePythonConfig(text: string, file: string): PythonConfig {
  const sections = outlineIni(text, file);
  refuseRepeats(sections, file);
  const byName = new Map(sections.map((section) => [section.name, section]));
  const defaults = sections.filter(({ name }) => name === DEFAULT).flatMap(({ keys }) => keys);
  return {
    names: [...byName.keys()].filter((name) => name !== DEFAULT),
    section(name) {
      const section = byName.get(name);
      if (section === undefined || name === DEFAULT) return undefined;
      const keys = new Map([...defaults, ...section.keys].map((key) => [key.name.toLowerCase(), key]));
      const raw: PythonSection = new Map(Array.from(keys, ([key, { value }]) => [key, value]));
      const room = { left: LENGTH_LIMIT };
      return new Map(
        Array.from(keys, ([key, { name: written, value, line }]) => {
          const interpolated = interpolate(value, raw, room, 1);
          if (typeof interpolated === 'string') return [key, interpolated];
          throw configError(file, line, `${written}: ${interpolated.fault}`);
        }),
      );
    },
  };
}

/** Python stops with DuplicateSectionError or DuplicateOptionError; `[DEFAULT]` alone may be repeated. */
function refuseRepeats(sections: readonly OutlinedSection[], file: string): void {
  const sectionLines = new Map<string, number>();
  const defaultLines = new Map<string, number>();
  for (const { name, line, keys } of sections) {
    const first = sectionLines.get(name);
    if (first !== undefined && name !== DEFAULT)
      throw configError(file, line, `section [${name}] is repeated, first in line ${first}`);
    sectionLines.set(name, line);
    const keyLines = name === DEFAULT ? defaultLines : new Map<string, number>();
    for (const key of keys) {
      const lower = key.name.toLowerCase();
      const before = keyLines.get(lower);
      if (before !== undefined)
        throw configError(
          file,
          key.line,
          `key "${key.name}" is repeated in [${name}], first in line ${before}; keep one of them`,
        );
      keyLines.set(lower, key.line);
    }
  }
}

interface Fault {
  readonly fault: string;
}

/** Characters that may still be made. */
interface Room {
  left: number;
}

/** `configparser.BasicInterpolation`: `%%` is `%`, `%(key)s` the value of another key. */
function interpolate(value: string, values: PythonSection, room: Room, depth: number): string | Fault {
  if (depth > DEPTH_LIMIT) return { fault: `its references are nested more than ${DEPTH_LIMIT} deep` };
  const parts: string[] = [];
  let at = 0;
  while (at < value.length) {
    const sign = value.indexOf('%', at);
    const plain = value.slice(at, sign === -1 ? undefined : sign);
    parts.push(plain);
    room.left -= plain.length + 1;
    if (room.left < 0) return { fault: `its references make more than ${LENGTH_LIMIT} characters` };
    if (sign === -1) break;
    if (value[sign + 1] === '%') {
      parts.push('%');
      at = sign + 2;
      continue;
    }
    REFERENCE.lastIndex = sign;
    const [reference, name] = REFERENCE.exec(value) ?? [];
    if (reference === undefined || name === undefined)
      return { fault: 'has a single "%"; write "%%" for it' };
    const referred = values.get(name.toLowerCase());
    if (referred === undefined) return { fault: `refers to "${name}", which is missing` };
    const part = referred.includes('%') ? interpolate(referred, values, room, depth + 1) : referred;
    if (typeof part !== 'string') return part;
    parts.push(part);
    room.left -= part.length;
    at = sign + reference.length;
  }
  return parts.join('');
}

/** A value that `ConfigParser()` reads as this text. */
export function escapePercent(text: string): string {
  return text.replaceAll('%', '%%');
}
