import { Argument, InvalidArgumentError, Option } from '@commander-js/extra-typings';

// Options of several commands.

export const json = (description = 'print the result as JSON') => new Option('--json', description);

export const dryRun = (description: string) => new Option('-n, --dry-run', description);

export const os = (description: string) => new Option('--os <id-version>', description);

export const multiarch = (description: string) => new Option('--multiarch <name>', description);

/** @param verb the action on the cache @param other the default that it replaces */
export const server = (verb: string, other: string) =>
  new Option(
    '--server <url>',
    `${verb} the cache at this URL, such as http://192.168.32.10:5050, or with the word "upstream" that of [upstream], instead of ${other}`,
  );

export const serverDir = () => directory('--server-dir', '--server');

/** @param flag of the option @param blobs what gives the other URL */
export const directory = <const Flag extends string>(flag: Flag, blobs: string) =>
  new Option(
    `${flag} <url>`,
    `URL of the directory (ShaDir), if it is not /bdir of the cache; ${blobs} is then the URL of the blobs (ShaCache)`,
  );

export const ca = () =>
  new Option('--ca <file>', 'CA certificate of the server (or its self-signed certificate)');

export const acceptOlder = () =>
  new Option('--accept-older', 'accept a medium although a newer one of the same origin was imported');

export const fromProxy = () =>
  new Option(
    '--from-proxy',
    'take over what slapos proxy has; the paths are CONTENT_DIR and METADATA_DIR of its shacache',
  ).conflicts(['url', 'os', 'multiarch', 'softwareRoot', 'recheck', 'acceptOlder', 'partial']);

export const logFormat = () =>
  new Option(
    '--log-format <format>',
    'format of the log on stderr: json or text (default: text on a terminal, otherwise json)',
  ).choices(['json', 'text']);

export const shell = () => new Argument('<shell>', 'the shell').choices(['bash', 'zsh', 'fish']);

export const commonName = () => new Option('--common-name <name>', 'name in the certificate');

/** Collects the values of a repeatable option, in order. */
export function collect(value: string, previous: readonly string[] | undefined): readonly string[] {
  if (value === '') throw new InvalidArgumentError('it is empty.');
  return [...(previous ?? []), value];
}
