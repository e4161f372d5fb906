import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { inject } from 'postject';
import { rolldown } from 'rolldown';
import { buildInfo, definitions } from './build-info.ts';
import { EXECUTABLE_NODE, nodeBinary, type Arch } from './node/node-binary.ts';
import { withoutSymbols } from './node/elf.ts';

const WORKERS = [
  ['password-worker.js', 'src/access/password-worker.ts'],
  ['inspection-worker.js', 'src/release/inspection-worker.ts'],
] as const;
const ARCHS: readonly Arch[] = ['x64', 'arm64'];
/** Node looks for the program under this name, and for this mark, behind which `1` says that there is one. */
const NAME = 'NODE_SEA_BLOB';
const FUSE = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2';

const run = promisify(execFile);

/**
 * Makes dist/cache-linux-x64 and dist/cache-linux-arm64: the program in one file with Node (its "single executable
 * application"). From one commit always the same bytes.
 */
await mkdir('dist', { recursive: true });
const folder = await mkdtemp('dist.executable.');
try {
  await bundle('src/cli/main.ts', 'main.cjs');
  const workers: Record<string, string> = {};
  for (const [name, input] of WORKERS) {
    await bundle(input, name);
    workers[name] = name;
  }
  const maker = await nodeBinary(EXECUTABLE_NODE);
  for (const arch of ARCHS) {
    const config = {
      ...{ main: 'main.cjs', output: `${arch}.blob`, assets: workers },
      // V8 compiles for one architecture only: for others the program is compiled at each start.
      useCodeCache: arch === process.arch,
      disableExperimentalSEAWarning: true,
    };
    await writeFile(join(folder, `${arch}.json`), JSON.stringify(config));
    // The blob has the paths as they are named here: names alone are the same in each build.
    // So is the code cache for a given seed; V8 accepts it for any other.
    await run(maker, ['--random-seed=1', '--experimental-sea-config', `${arch}.json`], { cwd: folder });
    const executable = join(folder, arch);
    await writeFile(executable, withoutSymbols(await readFile(await nodeBinary(EXECUTABLE_NODE, arch))));
    await inject(executable, NAME, await readFile(join(folder, `${arch}.blob`)), { sentinelFuse: FUSE });
    await chmod(executable, 0o755);
    await rename(executable, `dist/cache-linux-${arch}`);
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}

/** Writes one CommonJS file with everything that `input` ever loads. */
async function bundle(input: string, name: string): Promise<void> {
  const program = await rolldown({
    input,
    platform: 'node',
    transform: { target: `node${EXECUTABLE_NODE}`, define: definitions(buildInfo()) },
  });
  await program.write({
    ...{ file: join(folder, name), format: 'cjs', codeSplitting: false, comments: false },
    // Names stay: stack traces are read by people.
    minify: { compress: true, mangle: false, codegen: { removeWhitespace: true } },
  });
  await program.close();
}
