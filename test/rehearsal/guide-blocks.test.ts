import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { readGuide } from './guide.ts';

const steps = (await readGuide('standalone-master.md')).filter(({ needs }) => needs !== 'values');

/** The lines of a script that end a command: without what goes on in the next line, and without here-documents. */
function commandsOf(script: string): readonly string[] {
  const commands: string[] = [];
  let document: string | undefined;
  for (const line of script.replaceAll('\\\n', ' ').split('\n')) {
    if (document === undefined) {
      commands.push(line);
      document = /<<(\w+)/.exec(line)?.[1];
    } else if (line === document) document = undefined;
  }
  return commands;
}

describe('a block of the guide', () => {
  it.each(steps.map(({ machine, heading, script }) => [`${machine}, ${heading}`, script]))(
    'stops at the first command that fails: %s',
    (_where, script) => {
      const commands = commandsOf(script);
      for (const command of commands.slice(0, -1)) expect(command).toMatch(/ &&$/);
      expect(commands.at(-1)).not.toMatch(/&&$|;/);
    },
  );

  it('that mounts a disk does nothing else where that fails', () => {
    const mounting = steps.filter(({ script }) => script.includes('mount $DISK'));
    expect(mounting.length).toBeGreaterThan(4);
    for (const { script } of mounting) {
      // A shell of a person: without -e, and with what was typed before.
      const shell = `mkdir() { :; }; mount() { return 32; }; command_not_found_handle() { echo "$1"; }; PATH=; DISK=x
        for name in cd cat echo; do eval "$name() { printf '%s ran' $name; }"; done
        ${script}`;
      expect(execFileSync('/bin/bash', ['-c', `${shell}\ntrue`], { encoding: 'utf8' })).toBe('');
    }
  });
});
