import { existsSync } from 'node:fs';
import { chmod, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { rolldown, type OutputOptions } from 'rolldown';
import { buildInfo, definitions } from './build-info.ts';

const DIST = 'dist';
const MADE = 'dist.new';
const OLD = 'dist.old';

/**
 * Makes dist/: the program as a few files, because to find, read and join the two hundred of src/ and the packages takes
 * longer than most commands do. What src/ loads when it is needed is loaded when it is needed here, too, and each
 * package is a file of its own, so that stack traces name it.
 */
const program = await rolldown({
  input: {
    run: 'src/cli/run.ts',
    'password-worker': 'src/access/password-worker.ts',
    'inspection-worker': 'src/release/inspection-worker.ts',
  },
  platform: 'node',
  transform: { target: 'node20.18', define: definitions(buildInfo()) },
});
const output: OutputOptions = {
  dir: MADE,
  // All of ours in one folder, as deep as src/cli/: ../../package.json is the same from both.
  entryFileNames: 'cli/[name].js',
  chunkFileNames: 'cli/[name].js',
  codeSplitting: { groups: [{ debugName: 'package', name: packageOf }] },
  sourcemap: true,
  cleanDir: true,
};
await program.write(output);
// The start of the program, also here: a link to it in PATH is a command.
const main = `${MADE}/cli/main.js`;
await writeFile(main, (await readFile('bin/cache.js', 'utf8')).replace('../dist/cli/', './'));
await chmod(main, 0o755);
// Whole or not at all, whenever it is killed: dist/ is never written to.
await rm(OLD, { recursive: true, force: true });
if (existsSync(DIST)) await rename(DIST, OLD);
await rename(MADE, DIST);
await rm(OLD, { recursive: true, force: true });

function packageOf(path: string): string | null {
  const [, name] = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path) ?? [];
  return name === undefined ? null : `packages/${name}`;
}
