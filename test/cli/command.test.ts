import { beforeEach, expect, it } from 'vitest';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { initSite, runCache, runProcess } from './command.ts';

let folder: string;

beforeEach(async () => {
  folder = await temporaryFolder();
  await initSite(folder, '.');
});

it.each([
  ['done', ['list']],
  ['done, with JSON', ['config', '--json']],
  ['its help', ['import', '--help']],
  ['not found', ['lookup', 'pypi:none=1']],
  ['wrong usage', ['frobnicate']],
  ['wrong usage, with JSON', ['lookup', '--json']],
  ['a failed store', ['list', '-c', '/dev/null']],
])('a command in the process of the tests does what it does in one of its own: %s', async (_what, args) => {
  const variables = { ...process.env };
  const here = await runCache(folder, ...args);
  expect(here).toEqual(await runProcess(folder, ...args));
  expect(here.stdout + here.stderr).not.toBe('');
  expect({ ...process.env }).toEqual(variables);
});

it('commands in the process of the tests take turns, each in its folder', async () => {
  const other = await temporaryFolder();
  const before = process.cwd();
  const results = await Promise.all([folder, other, folder].map((at) => runCache(at, 'list')));
  expect(results.map(({ code }) => code)).toEqual([0, 3, 0]);
  expect(results[1]?.stderr).toContain(other);
  expect(process.cwd()).toBe(before);
});
