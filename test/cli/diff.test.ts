import { execFileSync } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { formatDiff } from '../../src/cli/terminal/diff.ts';
import { replaceSection, type SectionEdit } from '../../src/config/replace-section.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { lacks } from '../http/outside-programs.ts';

function replace(text: string): SectionEdit {
  const values = new Map([
    ['url', 'http://cache:5050/bcache'],
    ['list', '\none\ntwo'],
  ]);
  return replaceSection(text, 'f.cfg', 'n', { values, defaults: new Map() });
}

describe.skipIf(lacks('patch'))('formatDiff', () => {
  it.each([
    [
      '[a]\n'.repeat(1) +
        'x = 1\n'.concat('# c\n'.repeat(20)) +
        '[n]\nurl = 1\n' +
        '# d\n'.repeat(20) +
        'list = 3\n# e\n',
    ],
    ['[n]\nurl = 1\n# 1\n# 2\n# 3\n# 4\n# 5\n# 6\nlist = 1'],
    [''],
    ['[a]'],
    ['[n]\na = 1\n[b]\nx = 1\n[n]\nurl = 2\nc = 3'],
  ])('is a patch of %j', async (text) => {
    const folder = await temporaryFolder();
    const file = join(folder, 'slapos.cfg');
    await writeFile(file, text);
    const edit = replace(text);
    const input = formatDiff(edit.lines, file, file);
    execFileSync('patch', ['--quiet', '--unified', file], { input });
    expect(await readFile(file, 'utf8')).toBe(edit.text);
  });

  it('is empty without a change', () => {
    expect(formatDiff(replace(replace('').text).lines, 'a', 'b')).toBe('');
  });
});
