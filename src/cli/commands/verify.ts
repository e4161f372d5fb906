import { command, type OptionsOf } from '../command.ts';
import { ca, collect, json } from '../options.ts';

export type VerifyOptions = OptionsOf<typeof verifyCommand>;

export const verifyCommand = () =>
  command(
    'verify',
    'Find damage in the store; heal or repair it on request.',
    'cache verify --deep --heal-from /mnt/device',
    { argument: 'it verifies the store; to verify a medium: cache import --dry-run ARG' },
  )
    .option('--deep', 'read every blob, and compare its sha512')
    .option('--since <duration>', 'check only entries and blobs received within this time, such as 7d or 12h')
    .option(
      '--rate <size>',
      'read at most this many bytes a second, such as 50M or 1 GiB (default: no limit)',
    )
    .option('--repair', 'move unhealed damage to quarantine/ in the store; remove leftovers')
    .option(
      '--heal-from <place>',
      'replace damage with good copies from this medium, store folder, URL of a running cache, or "upstream"; may be repeated',
      collect,
    )
    .addOption(ca())
    .addOption(json())
    .addHelpText(
      'after',
      '\nExits with 0 without findings, or if all were healed, or strays and leftovers\nthat --repair removed; otherwise with 1. A release in quarantine is missing.',
    );
