import { InvalidArgumentError, Option } from '@commander-js/extra-typings';

// Options of several commands.

export const json = () => new Option('--json', 'print the result as JSON');

export const dryRun = (description: string) => new Option('-n, --dry-run', description);

export const os = (description: string) => new Option('--os <id-version>', description);

export const multiarch = (description: string) => new Option('--multiarch <name>', description);

/** @param verb the action on the cache @param other the default that it replaces */
export const server = (verb: string, other: string) =>
  new Option(
    '--server <base>',
    `${verb} the cache at this URL, such as http://192.168.32.10:5050, instead of ${other}`,
  );

export const ca = () =>
  new Option('--ca <file>', 'CA certificate of the server (or its self-signed certificate)');

export const acceptOlder = () =>
  new Option('--accept-older', 'accept a medium although a newer one of the same origin was imported');

export const commonName = () => new Option('--common-name <name>', 'name in the certificate');

/** Collects the values of a repeatable option, in order. */
export function collect(value: string, previous: readonly string[] | undefined): readonly string[] {
  if (value === '') throw new InvalidArgumentError('it is empty.');
  return [...(previous ?? []), value];
}
