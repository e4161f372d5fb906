import { command } from '../command.ts';
import { shell } from '../options.ts';

export const completionCommand = () =>
  command(
    'completion',
    'Print the completion of commands, options and releases for a shell.',
    'cache completion bash > /etc/bash_completion.d/cache',
  )
    .addArgument(shell())
    .argument(
      '[word...]',
      'words of a command line, the last one incomplete: print its candidates instead (the completion calls this)',
    );
