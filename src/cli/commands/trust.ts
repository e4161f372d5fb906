import { command, type OptionsOf } from '../command.ts';
import { dryRun, json } from '../options.ts';

export type TrustListOptions = OptionsOf<typeof trustListCommand>;
export type TrustChangeOptions = OptionsOf<typeof trustAddCommand>;

export const trustCommand = () =>
  command(
    'trust',
    'Show or change the trusted certificates: whose signatures count.',
    'cache trust add /mnt/device/miscellaneous/sign.crt',
  );

export const trustListCommand = () =>
  command('list', 'Show the trusted certificates with their fingerprints.', 'cache trust list').addOption(
    json(),
  );

export const trustAddCommand = () =>
  command(
    'add',
    'Add certificates to the signature-certificate-list of config.ini.',
    'cache trust add /mnt/device/miscellaneous/sign.crt',
  )
    .argument('<certs...>', 'PEM files; a file may hold several certificates')
    .addOption(dryRun('only show what would be added'))
    .addOption(json());

export const trustRemoveCommand = () =>
  command(
    'remove',
    'Remove certificates from the signature-certificate-list of config.ini.',
    'cache trust remove 5D:9E:21',
  )
    .argument('<certs...>', 'PEM files, or fingerprints; the beginning of a fingerprint is enough')
    .addOption(dryRun('only show what would be removed'))
    .addOption(json());
