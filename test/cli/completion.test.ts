import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { createProgram } from '../../src/cli/program.ts';
import { makeSoftwareRelease, packRelease } from '../fixtures/software-release.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { lacks, run } from '../http/outside-programs.ts';
import { ENVIRONMENT, PROGRAM, runCache } from './command.ts';

const URL = 'https://lab.nexedi.com/nexedi/slapos/raw/1.0.344/software/kvm/software.cfg';
const OTHER = 'https://lab.nexedi.com/nexedi/slapos/raw/1.0.344/software/rapid-cdn/software.cfg';

let folder: string;

beforeEach(async () => {
  folder = await temporaryFolder();
});

/** Imports a release of each URL into the default store of the folder. */
async function fill(...urls: readonly string[]): Promise<void> {
  for (const [index, url] of urls.entries()) {
    const release = await makeSoftwareRelease(join(folder, `root${index}`), url);
    await packRelease(release, join(folder, `release${index}-ubuntu-22.04.tar.gz`));
    const { code, stderr } = await runCache(folder, 'import', `release${index}-ubuntu-22.04.tar.gz`);
    expect({ code, stderr }).toMatchObject({ code: 0 });
  }
}

/** What completes the last of these words. */
async function complete(...words: readonly string[]): Promise<readonly string[]> {
  const { code, stdout, stderr } = await runCache(folder, 'completion', 'bash', '--', 'cache', ...words);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  return stdout.split('\n').filter((line) => line !== '');
}

describe('the candidates', () => {
  it('are the commands, first', async () => {
    const names = createProgram().commands.map((command) => command.name());
    expect(await complete('')).toEqual(names);
    expect(await complete('--quiet', 'im')).toEqual(['import']);
    expect(await complete('help', 'exp')).toEqual(['export']);
    expect(await complete('trust', '')).toEqual(['list', 'add', 'remove']);
    expect(await complete('-c', 'x', 'trust', 'r')).toEqual(['remove']);
  });

  it('are the options of each command', async () => {
    for (const command of createProgram().commands) {
      const flags = command
        .createHelp()
        .visibleOptions(command)
        .map(({ long }) => long);
      expect(await complete(command.name(), '-')).toEqual(flags);
    }
    expect(await complete('import', '--re')).toEqual(['--recheck']);
    expect(await complete('import', '--', '--re')).toEqual([]);
  });

  it('are the choices of an option or argument', async () => {
    expect(await complete('serve', '--log-format', '')).toEqual(['json', 'text']);
    expect(await complete('completion', 'z')).toEqual(['zsh']);
  });

  it('are none for a file: the shell offers its own', async () => {
    expect(await complete('import', '')).toEqual([]);
    expect(await complete('init', '--trust', '')).toEqual([]);
    expect(await complete('list', 'x')).toEqual([]);
  });

  it('are the releases of the store where a command takes them', async () => {
    await fill(URL, OTHER);
    for (const command of ['lookup', 'check', 'remove', 'fetch']) {
      expect((await complete(command, '')).toSorted()).toEqual(['kvm@1.0.344', 'rapid-cdn@1.0.344']);
      expect(await complete(command, 'rap')).toEqual(['rapid-cdn@1.0.344']);
    }
    expect(await complete('export', 'medium', 'kvm@')).toEqual(['kvm@1.0.344']);
    expect(await complete('export', 'medium', 'kvm@1.0.344', 'r')).toEqual(['rapid-cdn@1.0.344']);
    expect(await complete('lookup', 'https://lab.nexedi.com/nexedi/slapos/raw/1.0.344/software/k')).toEqual([
      URL,
    ]);
  });

  it('are the URLs of releases with the same name, which a command refuses', async () => {
    const namesake = URL.replace('lab.nexedi.com', 'lab.example.org');
    await fill(URL, namesake);
    expect((await complete('lookup', '')).toSorted()).toEqual([namesake, URL].toSorted());
  });

  it('are the names and URLs of a configuration, in the place that is named', async () => {
    await mkdir(join(folder, 'site/store/bcache'), { recursive: true });
    const config = `[store]\npath = store\n[pin]\nmaster = ${URL}\n[software]\nwith space = ${OTHER}\n`;
    await writeFile(join(folder, 'site/config.ini'), config);
    for (const named of [['-c', 'site/config.ini'], ['--config=site/config.ini']])
      expect((await complete('lookup', ...named, '')).toSorted()).toEqual([
        'kvm@1.0.344',
        'master',
        'rapid-cdn@1.0.344',
      ]);
  });

  it('are none with a character that a shell could take for a command', async () => {
    await mkdir(join(folder, 'store/bcache'), { recursive: true });
    const config = `[store]\npath = store\n[pin]\na = https://h/$(reboot)/software.cfg\n\`reboot\` = https://h/b&c\n`;
    await writeFile(join(folder, 'config.ini'), config);
    expect(await complete('lookup', '')).toEqual(['a']);
    expect(await complete('lookup', 'https')).toEqual([]);
  });
});

/** Puts a `cache` into PATH that completes as the program, and otherwise writes the words that it is called with. */
async function installed(): Promise<NodeJS.ProcessEnv> {
  const bin = join(folder, 'bin');
  await mkdir(bin);
  const program = PROGRAM.map((word) => `'${word}'`).join(' ');
  const script = `#!/bin/sh\nif [ "$1" = completion ]; then exec ${program} "$@"; fi\necho "cache $*" > ${folder}/typed\n`;
  await writeFile(join(bin, 'cache'), script, { mode: 0o755 });
  return { ...ENVIRONMENT, PATH: `${bin}:${process.env['PATH'] ?? ''}`, HOME: folder };
}

const TYPE = join(import.meta.dirname, '../judges/type_at_shell.py');

describe.each([
  ['bash', 'sourced', ['bash', '--norc', '--noprofile', '-i'], 'source <(cache completion bash)'],
  [
    'zsh',
    'sourced',
    ['zsh', '-f', '-i'],
    'autoload -U compinit; compinit -u -D; source <(cache completion zsh)',
  ],
  [
    'zsh',
    'in a folder of functions',
    ['zsh', '-f', '-i'],
    'mkdir -p f; cache completion zsh > f/_cache; fpath=($PWD/f $fpath); autoload -U compinit; compinit -u -D',
  ],
  ['fish', 'sourced', ['fish', '--no-config', '-i'], 'cache completion fish | source'],
] as const)('in %s, %s', (shell, _how, command, setUp) => {
  it.skipIf(lacks(shell, 'python3'))(
    'a person completes commands, options, releases and files',
    { timeout: 180_000 },
    async () => {
      await fill(URL);
      await writeFile(join(folder, 'some-archive.tar.gz'), '');
      const environment = await installed();
      const typed = join(folder, 'typed');
      const type = async (keys: string): Promise<string> => {
        await rm(typed, { force: true });
        const { code, stdout, stderr } = await run(
          'python3',
          [TYPE, folder, setUp, keys, typed, ...command],
          environment,
        );
        expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
        return stdout.trimEnd();
      };
      expect(await type('cache loo\t')).toBe('cache lookup');
      expect(await type('cache import --rec\t')).toBe('cache import --recheck');
      expect(await type('cache lookup kv\t')).toBe('cache lookup kvm@1.0.344');
      expect(await type('cache lookup kvm@1\t')).toBe('cache lookup kvm@1.0.344');
      expect(await type('cache lookup https://lab\t')).toBe(`cache lookup ${URL}`);
      expect(await type('cache import some-\t')).toBe('cache import some-archive.tar.gz');
      expect(await type('cache -c nowhere.ini lookup kv\t')).toBe('cache -c nowhere.ini lookup kv');
    },
  );
});
