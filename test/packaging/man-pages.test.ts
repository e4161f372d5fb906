import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { commandPage } from '../../scripts/man/command-page.ts';
import { configPage } from '../../scripts/man/config-page.ts';
import { createProgram } from '../../src/cli/program.ts';
import { createSections } from '../../src/config/schema.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { lacks, run } from '../http/outside-programs.ts';

const SECONDS = Date.UTC(2026, 10, 27) / 1000;

/** As man(1) shows a page, at a width where no line is broken. */
async function shown(page: string): Promise<string> {
  const file = join(await temporaryFolder(), 'page');
  await writeFile(file, page);
  const { code, stdout, stderr } = await run('man', [
    '--warnings',
    '-E',
    'UTF-8',
    '-l',
    '-Tutf8',
    '-Z',
    file,
  ]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).not.toBe('');
  const text = await run('man', ['-l', '-P', 'cat', file], {
    MANWIDTH: '500',
    MAN_KEEP_FORMATTING: undefined,
    LC_ALL: 'C.UTF-8',
  });
  return text.stdout;
}

describe.skipIf(lacks('man'))('cache(1)', () => {
  it('has every command with its arguments, options and example, and no warning of groff', async () => {
    const text = await shown(commandPage(createProgram(), SECONDS));
    const words = text.replace(/\s+/g, ' ');
    expect(text).toContain('cache - offline binary cache for SlapOS\n');
    expect(text).toContain('2026-11-27');
    const parts = createProgram().commands.flatMap((command) => [command, ...command.commands]);
    expect(parts.length).toBeGreaterThan(20);
    for (const command of parts) {
      const help = command.createHelp();
      expect(text).toContain(`\n   ${help.commandUsage(command)}\n`);
      for (const one of [
        command.description(),
        ...help.visibleArguments(command).map((argument) => help.argumentDescription(argument)),
        ...help
          .visibleOptions(command)
          .flatMap((option) => [help.optionTerm(option), help.optionDescription(option)]),
      ])
        expect(words).toContain(one.replace(/\s+/g, ' '));
    }
    expect(text).toContain('\n              cache import /mnt/device\n');
    expect(words).toContain(
      'Exit codes: 0 done, 1 done in part or not found, 2 wrong usage or configuration, 3 ',
    );
  });
});

describe.skipIf(lacks('man'))('shacache.conf(5)', () => {
  it('has every key below its section, and all texts of config.example.ini, and no warning of groff', async () => {
    const example = await readFile('config.example.ini', 'utf8');
    const text = await shown(configPage(example, '1.2.3', SECONDS));
    const words = text.replace(/\s+/g, ' ');
    for (const [name, { shape }] of Object.entries(createSections('/'))) {
      const [, section = ''] = text.split(`\n   [${name}]\n`);
      const [own = ''] = section.split(/\n {3}\[/);
      for (const key of Object.keys(shape))
        expect(own.match(new RegExp(`^ {7}(?:[\\w-]+ )*${key}(?: |$)`, 'gm')) ?? [], key).not.toEqual([]);
    }
    expect(words).toContain('shacache 1.2.3');
    const comments = example.split('\n').filter((line) => /^# \S/.test(line));
    for (const comment of comments) expect(words).toContain(comment.slice(2));
    expect(text).toContain('\n              max-connections = 1000\n');
  });
});
