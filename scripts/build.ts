import { chmod } from 'node:fs/promises';
import { rolldown, type OutputOptions } from 'rolldown';

/**
 * Makes dist/: the program as a few files, because to find, read and join the two hundred of src/ and the packages takes
 * longer than most commands do. What src/ loads when it is needed is loaded when it is needed here, too, and each
 * package is a file of its own, so that stack traces name it.
 */
const program = await rolldown({
  input: { main: 'src/cli/main.ts' },
  platform: 'node',
  transform: { target: 'node20.18' },
});
const output: OutputOptions = {
  dir: 'dist',
  // All of ours in one folder, as deep as src/cli/: ../../package.json is the same from both.
  entryFileNames: 'cli/[name].js',
  chunkFileNames: 'cli/[name].js',
  codeSplitting: { groups: [{ debugName: 'package', name: packageOf }] },
  sourcemap: true,
};
// First in memory: `cleanDir` empties the folder even when nothing comes after.
await program.generate(output);
await program.write({ ...output, cleanDir: true });
// A link to it is a command.
await chmod('dist/cli/main.js', 0o755);

function packageOf(path: string): string | null {
  const [, name] = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path) ?? [];
  return name === undefined ? null : `packages/${name}`;
}
