import { command, type OptionsOf } from '../command.ts';
import { ca, collect, json } from '../options.ts';

export type VerifyOptions = OptionsOf<typeof verifyCommand>;

export const verifyCommand = () =>
  command(
    'verify',
    'Look for damage in the store, and mend it on request.',
    'cache verify --deep --heal-from /mnt/device --heal-from http://192.168.32.11:5050',
  )
    .option('--deep', 'read every blob, and compare its sha512')
    .option('--since <days>', 'only what came within so many days')
    .option('--rate <size>', 'read at most so many bytes a second, such as 50M (default: no limit)')
    .option('--repair', 'move damage that can not be healed to quarantine/ in the store; remove leftovers')
    .option(
      '--heal-from <place>',
      'fetch good copies from this medium, folder of a store, URL of a running cache, or "upstream"; may be repeated',
      collect,
    )
    .addOption(ca())
    .addOption(json())
    .addHelpText(
      'after',
      '\nExits with 1 if anything is wrong, and with 0 if all of it was mended: healed,\nor only strays and leftovers, which --repair took away. A release that was moved\nto quarantine is missing, which is 1.',
    );
