import { command, type OptionsOf } from '../command.ts';
import { json } from '../options.ts';

export type SlaposCfgOptions = OptionsOf<typeof slaposCfgCommand>;

export const slaposCfgCommand = () =>
  command(
    'slapos-cfg',
    'Print the [networkcache] section for the slapos.cfg of nodes.',
    'cache slapos-cfg --url http://192.168.32.10:5050 >> /etc/opt/slapos/slapos.cfg',
  )
    .option(
      '--url <base>',
      'URL of the cache as nodes reach it (default: public-url, or an address of this machine)',
    )
    .option(
      '--force-binary',
      'make nodes fail at once, instead of compiling, if a release of this store cannot be downloaded',
    )
    .addOption(json());
