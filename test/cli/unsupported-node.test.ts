import { spawn } from 'node:child_process';
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Script } from 'node:vm';
import { expect, it } from 'vitest';
import { z } from 'zod';
import { contentsOf } from '../fixtures/folder-contents.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { CACHE, ENVIRONMENT, resultOf, type CommandResult } from './command.ts';
import { addReleases, makeSite } from './upkeep-site.ts';

const PACKAGE = new URL('../../package.json', import.meta.url);

/** Runs `program` on this Node as if it were an old one: with its version, and without what it doesn't know. */
async function runOnNode(
  version: string,
  program: string,
  ...args: readonly string[]
): Promise<CommandResult> {
  const preload = join(await temporaryFolder(), 'old.cjs');
  await writeFile(
    preload,
    `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '${version}' } });
     delete String.prototype.isWellFormed;`,
  );
  const child = spawn(process.execPath, ['--require', preload, program, ...args], { env: ENVIRONMENT });
  return resultOf(child);
}

it.each(['18.20.8', '20.17.0', '12.22.12'])(
  'Node %s is refused, and the store stays as it is',
  async (version) => {
    const site = await makeSite();
    await addReleases(site, 2);
    const before = await contentsOf(site.folder);
    const config = join(site.folder, 'config.ini');
    const { code, stdout, stderr } = await runOnNode(version, CACHE, 'verify', '--repair', '-c', config);
    expect(await contentsOf(site.folder)).toEqual(before);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toBe(
      `cache: this is Node ${version}, and Node 20.18 or newer is needed; install one, or put it first in PATH\n`,
    );
  },
);

it('the version is looked at before anything else is loaded', async () => {
  const alone = join(await temporaryFolder(), 'main.js');
  await cp(CACHE, alone);
  await writeFile(join(alone, '../package.json'), '{"type": "module"}');
  const { code, stderr } = await runOnNode('18.20.8', alone, '--version');
  expect(stderr).toMatch(/^cache: this is Node 18\.20\.8, .*\n$/);
  expect(code).toBe(2);
});

it('an old Node can parse what looks at the version, as a module and as a script', async () => {
  const text = await readFile(CACHE, 'utf8');
  // Node 10 takes it for CommonJS: no import or export declaration, no await.
  expect(() => new Script(text)).not.toThrow();
  // Syntax that came after Node 10.
  expect(text.replace(/\/\/.*/g, '')).not.toMatch(/\?\?|\?\.|\|\|=|\bawait\b|catch \{|\d_\d|#\w+[;(]/);
});

it('the version that is needed is that of package.json', async () => {
  const { engines } = z
    .object({ engines: z.object({ node: z.string() }) })
    .parse(JSON.parse(await readFile(PACKAGE, 'utf8')));
  const oldest = engines.node.replace('>=', '');
  expect((await runOnNode(`${oldest}.0`, CACHE, '--version')).code).toBe(0);
  expect((await runOnNode('0.1.0', CACHE, '--version')).stderr).toContain(
    `Node ${oldest} or newer is needed`,
  );
});
