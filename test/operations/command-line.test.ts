import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { quoteForShell } from '../../src/cache/shell.ts';
import { commandOf } from '../../src/operations/command-line.ts';

describe('a word of a command', () => {
  it('comes back from a shell as it is', () => {
    const words = [
      '',
      '/mnt/USB DISK',
      "it's",
      '$HOME',
      '`id`',
      'a\nb',
      '*.tar.gz',
      '~',
      '"x"',
      '\\',
      'ü',
      '#a',
    ];
    for (const word of words) {
      expect(execFileSync('sh', ['-c', `printf '%s|' ${quoteForShell(word)}`]).toString()).toBe(`${word}|`);
    }
  });

  it('is in quotes only where a shell needs them', () => {
    const plain = ['/mnt/device', 'https://h/software.cfg', 'pypi:NAME=1.0', '--os', 'rapid-cdn@1.0.344'];
    for (const word of plain) expect(quoteForShell(word)).toBe(word);
  });
});

describe('a command in a message', () => {
  it.each([
    [{ file: undefined, isNamed: false }, 'cache import --dry-run FOLDER'],
    // It is found without -c: in the current folder, the environment or /etc.
    [{ file: '/srv/a b/config.ini', isNamed: false }, 'cache import --dry-run FOLDER'],
    [{ file: '/srv/config.ini', isNamed: true }, 'cache import -c /srv/config.ini --dry-run FOLDER'],
    [
      { file: '/srv/a b/config.ini', isNamed: true },
      "cache import -c '/srv/a b/config.ini' --dry-run FOLDER",
    ],
  ])('%j', (config, command) => {
    expect(commandOf(config, 'import --dry-run', ['FOLDER'])).toBe(command);
  });

  it('has -c behind all words of its name', () => {
    const config = { file: '/srv/config.ini', isNamed: true };
    expect(commandOf(config, 'trust add CERT')).toBe('cache trust add -c /srv/config.ini CERT');
    expect(commandOf(config, 'slapos-cfg')).toBe('cache slapos-cfg -c /srv/config.ini');
  });
});
