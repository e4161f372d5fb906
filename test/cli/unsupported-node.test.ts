import { spawn } from 'node:child_process';
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Linter } from 'eslint';
import { describe, expect, it } from 'vitest';
import { z } from 'zod';
import { contentsOf } from '../fixtures/folder-contents.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { CACHE, ENVIRONMENT, resultOf, type CommandResult } from './command.ts';
import { addReleases, makeSite } from './upkeep-site.ts';

const PACKAGE = new URL('../../package.json', import.meta.url);
/** What npm start and npx run, and what a link in PATH may lead to. */
const PROGRAMS = [fileURLToPath(new URL('../../bin/cache.js', import.meta.url)), CACHE];

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

describe.each(PROGRAMS)('%s', (program) => {
  // Node 12 and older take it for CommonJS, whatever package.json says.
  it.each(['module', 'commonjs'])('loads nothing before it looks at the version, as %s', async (type) => {
    const alone = join(await temporaryFolder(), 'main.js');
    await cp(program, alone);
    await writeFile(join(alone, '../package.json'), JSON.stringify({ type }));
    for (const version of ['0.12.18', '8.17.0', '10.24.1', '18.20.8']) {
      const { code, stdout, stderr } = await runOnNode(version, alone, '--version');
      expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
      expect(stderr).toBe(
        `cache: this is Node ${version}, and Node 20.18 or newer is needed; install one, or put it first in PATH\n`,
      );
    }
  });

  it('can be parsed by any Node', async () => {
    const faults = new Linter().verify((await readFile(program, 'utf8')).replace(/^#!.*/, ''), {
      languageOptions: { ecmaVersion: 5, sourceType: 'script' },
    });
    expect(faults).toEqual([]);
  });
});

it('the version that is needed is that of package.json', async () => {
  const { engines } = z
    .object({ engines: z.object({ node: z.string() }) })
    .parse(JSON.parse(await readFile(PACKAGE, 'utf8')));
  const oldest = engines.node.replace('>=', '');
  for (const program of PROGRAMS) {
    expect((await runOnNode(`${oldest}.0`, program, '--version')).code).toBe(0);
    expect((await runOnNode('0.1.0', program, '--version')).stderr).toContain(
      `Node ${oldest} or newer is needed`,
    );
  }
});
