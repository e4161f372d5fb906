import type { CommandUnknownOpts, Option } from '@commander-js/extra-typings';

/** What may stand for an incomplete word. */
export interface Candidate {
  readonly word: string;
  readonly description: string;
}

export interface Candidates {
  /** By the declarations of the commands; without any, and without releases, shells offer files. */
  readonly candidates: readonly Candidate[];
  /** Whether the word may name a release. */
  readonly wantsReleases: boolean;
  /** The configuration that the words name. */
  readonly config: string | undefined;
}

/** @param words of a command line, from the name of the program to the word to complete */
export function candidatesFor(program: CommandUnknownOpts, words: readonly string[]): Candidates {
  const word = words.at(-1) ?? '';
  const { command, count, open, isEnded, config } = read(program, words.slice(1, -1));
  const answer = (found: readonly Candidate[], wantsReleases = false): Candidates => ({
    candidates: found.filter((candidate) => candidate.word.startsWith(word)),
    ...{ wantsReleases, config },
  });
  if (open !== undefined) return answer(choices(open));
  if (!isEnded && word.startsWith('-')) return answer(optionsOf(command));
  if (count === 0 && command.commands.length > 0) return answer(commandsOf(command));
  const { registeredArguments: all } = command;
  const argument = all[count] ?? all.filter(({ variadic }) => variadic).at(-1);
  if (argument === undefined) return answer([]);
  if (argument.name() === 'command' && count === 0) return answer(commandsOf(program));
  return answer(choices(argument), argument.name().split('|').includes('name'));
}

interface Read {
  readonly command: CommandUnknownOpts;
  /** Arguments of the command. */
  readonly count: number;
  /** The option that the next word is the value of. */
  readonly open: Option | undefined;
  /** Whether no options follow. */
  readonly isEnded: boolean;
  readonly config: string | undefined;
}

function read(program: CommandUnknownOpts, words: readonly string[]): Read {
  let result: Read = { command: program, count: 0, open: undefined, isEnded: false, config: undefined };
  for (const word of words) {
    const { command, count, open, isEnded } = result;
    if (open !== undefined) {
      result = { ...result, open: undefined, ...(open.long === '--config' ? { config: word } : {}) };
    } else if (!isEnded && word === '--') {
      result = { ...result, isEnded: true };
    } else if (!isEnded && word.startsWith('-')) {
      const [flag, value] = word.split(/=(.*)/s, 2);
      const option = command.options.find(({ long, short }) => long === flag || short === flag);
      if (option?.required !== true && option?.optional !== true) continue;
      if (value === undefined) result = { ...result, open: option };
      else if (option.long === '--config') result = { ...result, config: value };
    } else {
      const part = count === 0 ? command.commands.find((candidate) => candidate.name() === word) : undefined;
      result = part === undefined ? { ...result, count: count + 1 } : { ...result, command: part };
    }
  }
  return result;
}

function choices({
  argChoices = [],
  description,
}: Pick<Option, 'argChoices' | 'description'>): readonly Candidate[] {
  return argChoices.map((word) => ({ word, description }));
}

function optionsOf(command: CommandUnknownOpts): readonly Candidate[] {
  return command
    .createHelp()
    .visibleOptions(command)
    .map(({ long, short, description }) => ({ word: long ?? short ?? '', description }));
}

function commandsOf(command: CommandUnknownOpts): readonly Candidate[] {
  return command.commands.map((part) => ({ word: part.name(), description: part.description() }));
}
