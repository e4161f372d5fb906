import { command, type OptionsOf } from '../command.ts';
import { ca, dryRun, json } from '../options.ts';

export type SlaposCfgOptions = OptionsOf<typeof slaposCfgCommand>;

export const slaposCfgCommand = () =>
  command(
    'slapos-cfg',
    'Print the [networkcache] section for the slapos.cfg of nodes, or put it into a slapos.cfg.',
    'cache slapos-cfg --server http://192.168.32.10:5050 --into slapos.cfg',
  )
    .option(
      '--url <base>',
      'URL of the cache as nodes reach it (default: public-url, or an address of this machine, http:// first)',
    )
    .option(
      '--server <base>',
      'show the section that the running cache at this URL gives to nodes, and fingerprints to compare',
    )
    .addOption(ca())
    .option('--from <file>', 'take the section from this file, which this command printed on another machine')
    .option(
      '--into <file>',
      'replace the section of this slapos.cfg, keep everything else, and keep a copy of the file beside it',
    )
    .option('--print', 'print the section (the default)')
    .addOption(dryRun('with --into: print the changes as a diff, and write nothing'))
    .option(
      '--force-binary',
      'make nodes fail at once, instead of compiling, if a release of this store cannot be downloaded',
    )
    .option('--upload <base>', 'also add the keys for uploads to the cache at this URL')
    .addOption(json());
