import { command, type OptionsOf } from '../command.ts';
import { ca, dryRun, json, multiarch, os, server, serverDir } from '../options.ts';

export type FetchOptions = OptionsOf<typeof fetchCommand>;

export const fetchCommand = () =>
  command(
    'fetch',
    'Download releases and sources from another cache.',
    'cache fetch \\\n  https://lab.nexedi.com/nexedi/slapos/raw/1.0.344/software/kvm/software.cfg',
  )
    .argument(
      '<url|name|key...>',
      'URLs of releases or source files, known releases as NAME@VERSION or a part of the URL, or keys such as pypi:NAME=VERSION: of a key without platforms all entries are taken',
    )
    .addOption(os('fetch for this system, such as ubuntu-22.04 (default: that of this machine)'))
    .addOption(multiarch('fetch for this machine, such as x86_64-linux-gnu (default: this one)'))
    .option('--all-platforms', 'fetch for every platform')
    .addOption(server('fetch from', '[upstream]'))
    .addOption(serverDir())
    .addOption(ca())
    .option('--resign', "also sign with the site's key, for nodes that trust only its certificate")
    .addOption(dryRun('show what would be fetched and write nothing'))
    .addOption(json());
