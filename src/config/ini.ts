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

/** A section of an outline, with its keys in the order of the file; both may be repeated. */
export interface OutlinedSection {
  readonly name: string;
  readonly line: number;
  readonly keys: readonly IniKey[];
}

/** An error about a file of the configuration; `line` counts from 1. */
export function configError(file: string, line: number | undefined, message: string): CacheError {
  return new CacheError('config', line === undefined ? `${file}: ${message}` : `${file}:${line}: ${message}`);
}

/** Invisible characters, except tab, which ConfigParser takes as part of a name or value. */
const INVISIBLE = /[^\P{Cc}\t]|\uFEFF/u;
/** The line ends of Python. */
export const LINE_END = /\r\n|\r|\n/;
const SECTION = /^\[([^[\]]+)\]\s*(?:[#;][^\]]*)?$/;
/** Python takes anything, and ignores text after the last bracket. */
const PYTHON_SECTION = /^\[(.+)\]/;

/**
 * Parses the syntax of Python's `configparser.RawConfigParser()`, as in slapos.cfg: `key = value` or `key: value`; deeper
 * indented lines continue a value; `#` and `;` begin a comment line; keys are lower-cased. Refuses likely mistakes: text
 * after `[section]`, a key that begins with `[`, control characters, `[DEFAULT]`.
 * @param file name of the text in errors
 * @throws CacheError `config`, as `FILE:LINE: fault; advice`
 */
export function parseIni(text: string, file: string): IniDocument {
  const reader = new IniReader(file, { isOutline: false });
  return new Map(
    reader
      .readAll(text.replace(/^\uFEFF/, ''))
      .map(({ name, line, keys }) => [
        name,
        { line, keys: new Map(keys.map((key) => [key.name.toLowerCase(), key])) },
      ]),
  );
}

/**
 * The sections of a file of other programs, such as slapos.cfg, as ConfigParser splits it: with `[DEFAULT]`, and with
 * repeated sections and keys, which Python refuses. `parsePythonConfig` reads the values.
 * @param file name of the text in errors
 * @throws CacheError `config`, as `FILE:LINE: fault; advice`: Python can't split it, or it has control characters
 */
export function outlineIni(text: string, file: string): readonly OutlinedSection[] {
  return new IniReader(file, { isOutline: true }).readAll(text);
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
  readonly keys: OpenKey[];
}

class IniReader {
  readonly #file: string;
  readonly #isOutline: boolean;
  readonly #sections: OpenSection[] = [];
  /** Lines of the sections by name, and of the keys of the current section by lower-cased name. */
  readonly #sectionLines = new Map<string, number>();
  readonly #keyLines = new Map<string, number>();
  #key: OpenKey | undefined;
  /** Of the last section or key; a deeper indented line continues its value. */
  #indent = 0;
  #line = 0;

  constructor(file: string, { isOutline }: { readonly isOutline: boolean }) {
    this.#file = file;
    this.#isOutline = isOutline;
  }

  readAll(text: string): readonly OutlinedSection[] {
    for (const line of text.split(LINE_END)) this.#read(line);
    return this.#sections.map(({ keys, ...section }) => ({
      ...section,
      keys: keys.map(({ lines, ...key }) => ({ ...key, value: lines.join('\n').trimEnd() })),
    }));
  }

  #read(line: string): void {
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
    const name = this.#isOutline ? PYTHON_SECTION.exec(content)?.[1] : this.#strictSection(content);
    if (name === undefined) this.#openKey(content);
    else this.#openSection(name);
  }

  #strictSection(content: string): string | undefined {
    if (!content.startsWith('[')) return undefined;
    const name = SECTION.exec(content)?.[1];
    if (name === undefined) {
      this.#fail(
        `not a section: ${quoteBriefly(content)}; write [NAME] alone, or indent the line if it continues a value`,
      );
    }
    if (name === 'DEFAULT') {
      this.#fail('[DEFAULT] would set its keys in every section; write each key in its own section');
    }
    return name;
  }

  #openSection(name: string): void {
    const first = this.#sectionLines.get(name);
    if (first !== undefined && !this.#isOutline) {
      this.#fail(`section [${name}] is repeated, first in line ${first}; put all its keys there`);
    }
    this.#sections.push({ name, line: this.#line, keys: [] });
    this.#sectionLines.set(name, this.#line);
    this.#keyLines.clear();
    this.#key = undefined;
  }

  #openKey(content: string): void {
    const section = this.#sections.at(-1);
    if (section === undefined) {
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
    const first = this.#keyLines.get(name.toLowerCase());
    if (first !== undefined && !this.#isOutline) {
      this.#fail(`key "${name}" is repeated in [${section.name}], first in line ${first}; keep one of them`);
    }
    const lines = [content.slice(delimiter + 1).trim()];
    this.#key = { name, line: this.#line, lines, lastLine: this.#line };
    this.#keyLines.set(name.toLowerCase(), this.#line);
    section.keys.push(this.#key);
  }

  #fail(message: string): never {
    throw configError(this.#file, this.#line, message);
  }
}
