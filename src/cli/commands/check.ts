import { command, type OptionsOf } from '../command.ts';
import { ca, collect, json, multiarch, os, server, serverDir } from '../options.ts';

export type CheckOptions = OptionsOf<typeof checkCommand>;

export const checkCommand = () =>
  command(
    'check',
    'Test whether nodes can install releases, and show what is missing if they can not.',
    'cache check --file releases.txt --slapos-cfg /etc/opt/slapos/slapos.cfg',
  )
    .argument('[url|name...]', 'software URLs, or known releases as NAME@VERSION or a part of the URL')
    .option(
      '--file <list>',
      'a file with one URL per line, # for comments, - for stdin; may be repeated',
      collect,
    )
    .addOption(server('ask', 'the store'))
    .addOption(serverDir())
    .option(
      '--slapos-cfg <file>',
      'ask the cache that this slapos.cfg of a node names, and say what the node would do',
    )
    .addOption(ca())
    .addOption(os('test for nodes with this system, such as ubuntu-22.04 (default: that of this machine)'))
    .addOption(multiarch('test for nodes of this kind, such as x86_64-linux-gnu (default: this machine)'))
    .option('--deep', 'read every blob, also from the server, and compare its sha512')
    .addOption(json());
