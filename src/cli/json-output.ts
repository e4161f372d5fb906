import type { z } from 'zod';
import { parseTime } from '../cache/time.ts';
import type { JSON_OUTPUT } from './json-schemas.ts';
import type { Terminal } from './terminal/terminal.ts';

type Schemas = typeof JSON_OUTPUT;

type ReadonlyDeep<Value> = Value extends object
  ? { readonly [Name in keyof Value]: ReadonlyDeep<Value[Name]> }
  : Value;

/** What a command prints with --json. */
export type JsonOutput<Name extends keyof Schemas> = ReadonlyDeep<z.infer<Schemas[Name]>>;

/** @param name of the command, which decides the type */
export function printJson<Name extends keyof Schemas>(
  name: Name,
  value: JsonOutput<Name>,
  terminal: Terminal,
): void {
  terminal.print(JSON.stringify(value, undefined, ON_ONE_LINE.has(name) ? 0 : 2));
}

/** Short, or the output goes on, or is a file. */
const ON_ONE_LINE: ReadonlySet<keyof Schemas> = new Set([
  ...(['init', 'keygen', 'trust add', 'trust remove', 'inventory', 'serve'] as const),
]);

/** A result with the field names that all commands have. */
export function withJsonNames<Result extends InnerNames>({
  softwareUrl: url,
  outcome: status,
  ...rest
}: Result) {
  return { status: status as Result['outcome'], url, ...rest };
}

interface InnerNames {
  readonly outcome: string;
  readonly softwareUrl?: string | undefined;
}

/** An entry with the field names that all commands have. */
export function withUrl<Entry extends Pick<InnerNames, 'softwareUrl'>>({ softwareUrl: url, ...rest }: Entry) {
  return { url, ...rest };
}

/** A time that an entry states, in ISO 8601 and UTC; undefined if it is none. */
export function isoTime(text: string | undefined): string | undefined {
  const time = text === undefined ? undefined : parseTime(text);
  return time === undefined ? undefined : new Date(time).toISOString();
}
