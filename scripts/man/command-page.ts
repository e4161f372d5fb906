import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import { described, example, paragraph, section, subsection, title } from './roff.ts';

/** Options of every command: the page has them once. */
const COMMON = ['--config', '--quiet', '--help'];

/**
 * The page cache(1), with all that `--help` of each command tells.
 * @param seconds since 1970: its date
 */
export function commandPage(program: CommandUnknownOpts, seconds: number): string {
  const [what = ''] = program.description().split(':');
  return [
    title('CACHE', 1, seconds, program.version() ?? ''),
    section('NAME'),
    `cache \\- ${what.charAt(0).toLowerCase()}${what.slice(1)}`,
    section('SYNOPSIS'),
    `.B cache\n.I ${program.usage()}`,
    section('DESCRIPTION'),
    paragraph(program.description()),
    section('OPTIONS'),
    paragraph('Every command has these options; they may also stand before it.'),
    ...optionsOf(program.commands[0] ?? program, (long) => COMMON.includes(long)),
    ...optionsOf(program, (long) => long === '--version'),
    section('COMMANDS'),
    ...program.commands.flatMap(commandParts),
    section('EXIT STATUS'),
    ...notesOf(program)
      .filter((note) => note.startsWith('Exit codes: '))
      .map(paragraph),
    section('FILES'),
    described(['/etc/shacache/config.ini'], 'The configuration, see shacache.conf(5).'),
    section('SEE ALSO'),
    '.BR shacache.conf (5)',
    '',
  ].join('\n');
}

function commandParts(command: CommandUnknownOpts): readonly string[] {
  const help = command.createHelp();
  return [
    subsection(help.commandUsage(command)),
    paragraph(command.description()),
    ...help
      .visibleArguments(command)
      .map((argument) => described([help.argumentTerm(argument)], help.argumentDescription(argument))),
    ...optionsOf(command, (long) => !COMMON.includes(long)),
    ...notesOf(command).map(notePart),
    ...command.commands.flatMap(commandParts),
  ];
}

function optionsOf(command: CommandUnknownOpts, isShown: (long: string) => boolean): readonly string[] {
  const help = command.createHelp();
  return help
    .visibleOptions(command)
    .filter(({ long }) => isShown(long ?? ''))
    .map((option) => described([help.optionTerm(option)], help.optionDescription(option)));
}

/** The paragraphs that a command's help has after its options. */
function notesOf(command: CommandUnknownOpts): readonly string[] {
  let written = '';
  const output = command.configureOutput();
  command.configureOutput({ ...output, writeOut: (piece) => (written += piece) });
  command.outputHelp();
  const notes = written.slice(command.helpInformation().length);
  command.configureOutput(output);
  return notes
    .split('\n\n')
    .map((note) => note.replace(/^\n+|\n+$/g, ''))
    .filter((note) => note !== '');
}

/** Indented lines are commands to type. */
function notePart(note: string): string {
  const lines = note.split('\n');
  const words = lines.filter((line) => !line.startsWith('  '));
  const commands = lines.filter((line) => line.startsWith('  ')).map((line) => line.slice(2));
  return [paragraph(words.join(' ')), ...(commands.length === 0 ? [] : [example(commands)])].join('\n');
}
