import { configError, LINE_END, outlineIni, type OutlinedSection } from './ini.ts';

type IniKey = OutlinedSection['keys'][number];

/** A line of the old file, the new one, or both; with its line end, which the last one may lack. */
export interface EditedLine {
  readonly change: 'kept' | 'removed' | 'added';
  readonly text: string;
}

/** A text in which one section has other values. */
export interface SectionEdit {
  readonly text: string;
  /** In order; without any change, all are kept. */
  readonly lines: readonly EditedLine[];
  /** Line of each later section of the same name, which became part of the first. */
  readonly merged: readonly number[];
}

/** Raw values by lower-cased key: lines joined with `\n`, the first empty if the value begins below its key. */
export interface SectionValues {
  readonly values: ReadonlyMap<string, string>;
  /** Values of keys that the section keeps if it has them. */
  readonly defaults: ReadonlyMap<string, string>;
}

/**
 * Sets keys of one section of a file like slapos.cfg. Keeps all other keys and sections, comments, line ends and values that
 * are right already; adds the section if it is missing. Merges repeated sections, which Python refuses.
 * @param file name of the text in errors
 * @throws CacheError `config`: the text can't be read, or repeated keys have different values
 */
export function replaceSection(
  text: string,
  file: string,
  name: string,
  { values, defaults }: SectionValues,
): SectionEdit {
  const outline = outlineIni(text, file);
  const [first, ...later] = outline.filter((section) => section.name === name);
  const editor = new LineEditor(text);
  const present = new Set([first, ...later].flatMap((section) => section?.keys.map(lowerName) ?? []));
  const wanted = new Map([...Array.from(defaults).filter(([key]) => !present.has(key)), ...values]);
  if (first === undefined) {
    editor.append([`[${name}]`, ...Array.from(wanted, ([key, value]) => format(key, value, '')).flat()]);
  } else {
    const end = first.keys.reduce((last, { lastLine }) => Math.max(last, lastLine), first.line);
    const indent = editor.indentOf(first.keys.at(-1)?.line ?? first.line);
    const seen = new Map<string, IniKey>();
    for (const [section, key] of [first, ...later].flatMap((one) =>
      one.keys.map((key) => [one, key] as const),
    )) {
      const lower = lowerName(key);
      const value = wanted.get(lower);
      const before = seen.get(lower);
      seen.set(lower, before ?? key);
      if (before !== undefined) {
        if (value === undefined && before.value !== key.value)
          throw configError(
            file,
            key.line,
            `key "${key.name}" is repeated in [${name}] with another value, first in line ${before.line}; keep one of them`,
          );
        editor.remove(key);
      } else if (value === undefined) {
        if (section !== first) editor.move(key, end);
      } else if (section !== first || key.value !== value) {
        editor.remove(key);
        const isMoved = section !== first;
        editor.insert(
          isMoved ? end : key.line,
          format(key.name, value, isMoved ? indent : editor.indentOf(key.line)),
        );
      }
    }
    for (const { line } of later) editor.removeLine(line);
    for (const [key, value] of wanted) if (!present.has(key)) editor.insert(end, format(key, value, indent));
  }
  const lines = editor.finish();
  const edited = lines.map(({ change, text: line }) => (change === 'removed' ? '' : line)).join('');
  if (!isAsMeant(outline, outlineIni(edited, file), name, wanted))
    throw configError(file, first?.line, `section [${name}] can't be replaced; replace it by hand`);
  return { text: edited, lines, merged: later.map(({ line }) => line) };
}

function lowerName(key: IniKey): string {
  return key.name.toLowerCase();
}

function format(name: string, value: string, indent: string): readonly string[] {
  const [head = '', ...rest] = value.split('\n');
  return [`${indent}${name} =${head === '' ? '' : ` ${head}`}`, ...rest.map((line) => `${indent}  ${line}`)];
}

/** Whether the section has the wanted values and all else is as before. */
function isAsMeant(
  before: readonly OutlinedSection[],
  after: readonly OutlinedSection[],
  name: string,
  wanted: ReadonlyMap<string, string>,
): boolean {
  const others = (outline: readonly OutlinedSection[]): string =>
    JSON.stringify(
      outline
        .filter((section) => section.name !== name)
        .map((section) => [section.name, section.keys.map((key) => [key.name, key.value])]),
    );
  const valuesIn = (outline: readonly OutlinedSection[]): ReadonlyMap<string, string> =>
    new Map(
      outline
        .filter((section) => section.name === name)
        .flatMap(({ keys }) => keys.map((key) => [lowerName(key), key.value] as const)),
    );
  const expected = new Map([...valuesIn(before), ...wanted]);
  const own = after.filter((section) => section.name === name);
  const actual = valuesIn(after);
  return (
    others(before) === others(after) &&
    own.length === 1 &&
    own[0]?.keys.length === expected.size &&
    Array.from(expected).every(([key, value]) => actual.get(key) === value)
  );
}

/** Edits lines, which count from 1. Removed keys keep the comments among their lines. */
class LineEditor {
  readonly #lines: readonly string[];
  /** The line end of the file. */
  readonly #end: string;
  readonly #removed = new Set<number>();
  readonly #inserted = new Map<number, string[]>();

  constructor(text: string) {
    // Lines and line ends alternate.
    const pieces = text.split(new RegExp(`(${LINE_END.source})`));
    const lines = pieces.filter((_, at) => at % 2 === 0).map((line, at) => line + (pieces[2 * at + 1] ?? ''));
    if (lines.at(-1) === '') lines.pop();
    this.#lines = lines;
    this.#end = LINE_END.exec(text)?.[0] ?? '\n';
  }

  indentOf(line: number): string {
    return /^\s*/.exec(this.#lines[line - 1] ?? '')?.[0] ?? '';
  }

  remove({ line, lastLine }: IniKey): void {
    for (let number = line; number <= lastLine; number++)
      if (!/^\s*[#;]/.test(this.#lines[number - 1] ?? '')) this.removeLine(number);
  }

  removeLine(number: number): void {
    this.#removed.add(number);
  }

  insert(after: number, lines: readonly string[]): void {
    const inserted = this.#inserted.get(after) ?? [];
    this.#inserted.set(after, inserted);
    for (const line of lines) inserted.push(line);
  }

  /** Moves a key with all its lines. */
  move({ line, lastLine }: IniKey, after: number): void {
    for (let number = line; number <= lastLine; number++) {
      this.insert(after, [(this.#lines[number - 1] ?? '').replace(/[\r\n]+$/, '')]);
      this.removeLine(number);
    }
  }

  append(lines: readonly string[]): void {
    const last = this.#lines.at(-1);
    const gap = last === undefined || last.trim() === '' ? [] : [''];
    this.insert(this.#lines.length, [...gap, ...lines]);
  }

  finish(): readonly EditedLine[] {
    const edited: EditedLine[] = [];
    let removed: string[] = [];
    let added: string[] = [];
    const flush = (): void => {
      for (const line of changesOf(removed, added)) edited.push(line);
      [removed, added] = [[], []];
    };
    for (let number = 0; number <= this.#lines.length; number++) {
      const line = this.#lines[number - 1];
      const inserted = this.#inserted.get(number) ?? [];
      if (line !== undefined && this.#removed.has(number)) {
        removed.push(line);
      } else if (line !== undefined && inserted.length > 0 && !/[\r\n]$/.test(line)) {
        removed.push(line);
        added.push(line + this.#end);
      } else if (line !== undefined) {
        flush();
        edited.push({ change: 'kept', text: line });
      }
      for (const text of inserted) added.push(text + this.#end);
    }
    flush();
    return edited;
  }
}

/** Removed lines before added ones; equal lines at either end are kept. */
function changesOf(removed: readonly string[], added: readonly string[]): readonly EditedLine[] {
  const limit = Math.min(removed.length, added.length);
  let head = 0;
  while (head < limit && removed[head] === added[head]) head++;
  let tail = 0;
  while (tail < limit - head && removed.at(-1 - tail) === added.at(-1 - tail)) tail++;
  const mark = (change: EditedLine['change'], lines: readonly string[]): readonly EditedLine[] =>
    lines.map((text) => ({ change, text }));
  return [
    ...mark('kept', removed.slice(0, head)),
    ...mark('removed', removed.slice(head, removed.length - tail)),
    ...mark('added', added.slice(head, added.length - tail)),
    ...mark('kept', removed.slice(removed.length - tail)),
  ];
}
