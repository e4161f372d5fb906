import { command, type OptionsOf } from '../command.ts';
import { ca, json, multiarch, os, server, serverDir } from '../options.ts';

export type LookupOptions = OptionsOf<typeof lookupCommand>;

export const lookupCommand = () =>
  command(
    'lookup',
    'Show the entries of a URL or key, as a node sees them.',
    'cache lookup \\\n  https://lab.nexedi.com/nexedi/slapos/raw/1.0.344/software/kvm/software.cfg',
  )
    .argument(
      '<url|name|key>',
      'URL of a release or source file, a release as NAME@VERSION or a part of its URL, or a key such as pypi:NAME=VERSION',
    )
    .addOption(server('ask', 'the store'))
    .addOption(serverDir())
    .addOption(ca())
    .addOption(os('compare with this system, such as ubuntu-22.04 (default: that of this machine)'))
    .addOption(multiarch('compare with this machine, such as x86_64-linux-gnu (default: this one)'))
    .addOption(json());
