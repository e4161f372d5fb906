import { z } from 'zod';
import { FIRST_PREVIOUS } from './custody.ts';
import { digestOf, isDigest, type Digest } from './digest.ts';
import { throwProgrammingError } from './errors.ts';

/** A line of the log, and what is wrong with it. */
export interface CustodyLine {
  /** From 1 on. */
  readonly number: number;
  /** sha512 of the line: whoever noted it elsewhere can tell later that this line and all before it are as they were. */
  readonly digest: Digest;
  /** The line as it is in the file, without its newline. */
  readonly text: string;
  /** undefined for what is no line of this log. */
  readonly record: CustodyRecord | undefined;
  readonly finding: CustodyFinding | undefined;
}

export interface CustodyFinding {
  readonly line: number;
  /**
   * `broken`: the log was changed, or the disk spoiled it. `cut-off`: whoever wrote the line was interrupted; nothing
   * that was reported as recorded is lost.
   */
  readonly kind: 'broken' | 'cut-off';
  readonly message: string;
}

/** What a line tells. Other versions may know other actions and members. */
const custodyRecord = z.looseObject({
  previous: z.custom<Digest>(isDigest),
  cutOff: z.number().optional(),
  /** ISO 8601, UTC. */
  at: z.iso.datetime(),
  who: z.looseObject({
    user: z.string().optional(),
    sudoUser: z.string().optional(),
    remote: z.string().optional(),
    host: z.string(),
  }),
  action: z.string(),
  key: z.string().optional(),
  entry: z.string().optional(),
  sha512: z.string().optional(),
  softwareUrl: z.string().optional(),
  size: z.number().optional(),
  source: z.string().optional(),
  target: z.string().optional(),
  reason: z.string().optional(),
});

export type CustodyRecord = z.infer<typeof custodyRecord>;

const NEWLINE = 0x0a;

/**
 * Reads a log and checks that each line continues the one before. A clock that goes backwards is nothing: machines
 * without network have wrong clocks.
 * @param lines as `CustodyLog.lines` gives them
 */
export async function* checkCustody(lines: AsyncIterable<Uint8Array>): AsyncGenerator<CustodyLine> {
  let before: ReadLine | undefined;
  let line: ReadLine | undefined;
  for await (const bytes of lines) {
    const next = readLine(bytes, (line?.number ?? 0) + 1);
    // Only the line after it tells that one which can't be read was cut off.
    if (line !== undefined) yield withFinding(line, before, next);
    [before, line] = [line, next];
  }
  if (line !== undefined) yield withFinding(line, before, undefined);
}

interface ReadLine extends Omit<CustodyLine, 'finding'> {
  /** Bytes, without the newline. */
  readonly size: number;
  /** Whether it has its newline. */
  readonly isEnded: boolean;
}

function readLine(bytes: Uint8Array, number: number): ReadLine {
  const isEnded = bytes.at(-1) === NEWLINE;
  const line = isEnded ? bytes.subarray(0, -1) : bytes;
  const text = Buffer.from(line).toString('utf8');
  return {
    number,
    digest: digestOf(line),
    text,
    size: line.length,
    isEnded,
    record: parseCustodyRecord(text),
  };
}

/** @returns undefined for what is no line of this log */
export function parseCustodyRecord(text: string): CustodyRecord | undefined {
  try {
    return custodyRecord.parse(JSON.parse(text));
  } catch (error) {
    throwProgrammingError(error);
    return undefined; // Cut off, changed, or from elsewhere: the lines around it tell.
  }
}

function withFinding(
  { size, isEnded, ...line }: ReadLine,
  before: ReadLine | undefined,
  next: ReadLine | undefined,
): CustodyLine {
  const { number, record, text, digest } = line;
  const previous = before?.digest ?? FIRST_PREVIOUS;
  const finding = (kind: CustodyFinding['kind'], message: string): CustodyLine => ({
    ...line,
    finding: { line: number, kind, message: `line ${number} ${message}` },
  });
  if (record !== undefined && record.previous !== previous) {
    return finding(
      'broken',
      before === undefined
        ? 'does not begin a log: it was changed, or lines before it were removed'
        : `does not continue line ${number - 1}: one of the two was changed, or lines were removed, added or moved here`,
    );
  }
  if (record === undefined && !isBegun(text, `{"previous":"${previous}",`))
    return finding('broken', 'is no line of this log');
  if (next === undefined && !(isEnded && record !== undefined))
    return finding('cut-off', 'is cut off: it is being written just now, or its writer was interrupted');
  if (record !== undefined || next === undefined) return { ...line, finding: undefined };
  return isBegun(next.text, `{"previous":"${digest}","cutOff":${size},`)
    ? finding('cut-off', `is cut off: its writer was interrupted; line ${next.number} goes on after it`)
    : finding('broken', 'is no line of this log');
}

/**
 * Whether a line begins like that, as far as it goes, and may go on to be a line. A loss of power leaves zeros in place of
 * the rest.
 */
function isBegun(text: string, beginning: string): boolean {
  const begun = text.replace(/\0+$/, '');
  if (/\p{Cc}/u.test(begun)) return false;
  return begun.length < beginning.length ? beginning.startsWith(begun) : begun.startsWith(beginning);
}
