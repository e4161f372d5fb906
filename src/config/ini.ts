import { quoteBriefly } from '../cache/digest.ts';
import { CacheError } from '../cache/errors.ts';

/** One `key = value`. */
interface IniKey {
  /** As written in the file. */
  readonly name: string;
  /** The lines of the value, each stripped, joined with `\n`; the first is empty when the value begins below the key. */
  readonly value: string;
  readonly line: number;
  /** The last line of the value that is neither empty nor a comment. */
  readonly lastLine: number;
}

interface IniSection {
  readonly line: number;
  /** By lower-cased name, in the order of the file. */
  readonly keys: ReadonlyMap<string, IniKey>;
}

/** By name, case kept, in the order of the file. */
export type IniDocument = ReadonlyMap<string, IniSection>;

/** An error about a file of the configuration; `line` counts from 1. */
export function configError(file: string, line: number | undefined, message: string): CacheError {
  return new CacheError('config', line === undefined ? `${file}: ${message}` : `${file}:${line}: ${message}`);
}

/** Invisible characters, except tab, which ConfigParser takes as part of a name or value. */
const INVISIBLE = /[^\P{Cc}\t]|\uFEFF/u;
/** The line ends of Python. */
export const LINE_END = /\r\n|\r|\n/;
const SECTION = /^\[([^[\]]+)\]\s*(?:[#;][^\]]*)?$/;

/**
 * Parses the syntax of Python's `configparser.RawConfigParser()`, as in slapos.cfg: `key = value` or `key: value`; deeper
 * indented lines continue a value; `#` and `;` begin a comment line; keys are lower-cased. Refuses likely mistakes: text
 * after `[section]`, a key that begins with `[`, control characters, `[DEFAULT]`.
 * @param file name of the text in errors
 * @throws CacheError `config`, as `FILE:LINE: fault; advice`
 */
export function parseIni(text: string, file: string): IniDocument {
  const reader = new IniReader(file);
  for (const line of text.replace(/^\uFEFF/, '').split(LINE_END)) reader.read(line);
  return reader.finish();
}

interface OpenKey {
  readonly name: string;
  readonly line: number;
  readonly lines: string[];
  lastLine: number;
}

interface OpenSection {
  readonly name: string;
  readonly line: number;
  readonly keys: Map<string, OpenKey>;
}

class IniReader {
  readonly #file: string;
  readonly #sections = new Map<string, OpenSection>();
  #section: OpenSection | undefined;
  #key: OpenKey | undefined;
  /** Of the last section or key; a deeper indented line continues its value. */
  #indent = 0;
  #line = 0;

  constructor(file: string) {
    this.#file = file;
  }

  read(line: string): void {
    this.#line += 1;
    const content = line.trim();
    if (INVISIBLE.test(line)) this.#fail('contains a control character; retype the line');
    if (content.startsWith('#') || content.startsWith(';')) return;
    if (content === '') {
      this.#key?.lines.push('');
      return;
    }
    const indent = line.search(/\S/);
    if (this.#key !== undefined && indent > this.#indent) {
      this.#key.lines.push(content);
      this.#key.lastLine = this.#line;
      return;
    }
    this.#indent = indent;
    if (content.startsWith('[')) this.#openSection(content);
    else this.#openKey(content);
  }

  finish(): IniDocument {
    return new Map(
      Array.from(
        this.#sections,
        ([name, { line, keys }]) => [name, { line, keys: closeKeys(keys) }] as const,
      ),
    );
  }

  #openSection(content: string): void {
    const name = SECTION.exec(content)?.[1];
    if (name === undefined) {
      this.#fail(
        `not a section: ${quoteBriefly(content)}; write [NAME] alone, or indent the line if it continues a value`,
      );
    }
    if (name === 'DEFAULT') {
      this.#fail('[DEFAULT] would set its keys in every section; write each key in its own section');
    }
    const other = this.#sections.get(name);
    if (other !== undefined) {
      this.#fail(`section [${name}] is repeated, first in line ${other.line}; put all its keys there`);
    }
    this.#section = { name, line: this.#line, keys: new Map() };
    this.#sections.set(name, this.#section);
    this.#key = undefined;
  }

  #openKey(content: string): void {
    if (this.#section === undefined) {
      this.#fail(`${quoteBriefly(content)} is before the first section; write a [section] line above it`);
    }
    const delimiter = content.search(/[=:]/);
    if (delimiter === -1) {
      this.#fail(
        `not a "key = value" line: ${quoteBriefly(content)}; indent the line if it continues the value above`,
      );
    }
    const name = content.slice(0, delimiter).trimEnd();
    if (name === '') this.#fail(`no key before "${content.charAt(delimiter)}"; write key = value`);
    const { keys, name: section } = this.#section;
    const other = keys.get(name.toLowerCase());
    if (other !== undefined) {
      this.#fail(`key "${name}" is repeated in [${section}], first in line ${other.line}; keep one of them`);
    }
    const lines = [content.slice(delimiter + 1).trim()];
    this.#key = { name, line: this.#line, lines, lastLine: this.#line };
    keys.set(name.toLowerCase(), this.#key);
  }

  #fail(message: string): never {
    throw configError(this.#file, this.#line, message);
  }
}

function closeKeys(keys: ReadonlyMap<string, OpenKey>): ReadonlyMap<string, IniKey> {
  return new Map(
    Array.from(
      keys,
      ([key, { lines, ...open }]) => [key, { ...open, value: lines.join('\n').trimEnd() }] as const,
    ),
  );
}
