import { spawn } from 'node:child_process';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { NODE_VERSIONS, nodeBinary } from './node/node-binary.ts';

/**
 * Runs the tests on each supported version of Node: `npm run test:nodes [-- --node 26,24] [FILE…]`. Needs dist/.
 */
const { values, positionals } = parseArgs({ options: { node: { type: 'string' } }, allowPositionals: true });
const majors = values.node === undefined ? NODE_VERSIONS : values.node.split(',');
const failed: string[] = [];
for (const major of majors) {
  const node = await nodeBinary(major);
  process.stdout.write(`\nNode ${major}\n`);
  if ((await runTests(node, positionals)) !== 0) failed.push(major);
}
process.stdout.write(
  failed.length === 0 ? `passed on Node ${majors.join(', ')}\n` : `failed on Node ${failed.join(', ')}\n`,
);
process.exitCode = failed.length === 0 ? 0 : 1;

/** Tests start `node` by its path, and npm by way of PATH. @returns the exit code */
function runTests(node: string, files: readonly string[]): Promise<number> {
  const child = spawn(node, ['node_modules/vitest/vitest.mjs', 'run', ...files], {
    env: { ...process.env, PATH: `${dirname(node)}:${process.env['PATH'] ?? ''}` },
    stdio: 'inherit',
  });
  const stop = (): void => void child.kill('SIGTERM');
  process.once('SIGTERM', stop);
  return new Promise((resolve, reject) => {
    child.once('error', reject).once('close', (code, signal) => {
      process.off('SIGTERM', stop);
      if (signal !== null) process.exit(1);
      resolve(code ?? 1);
    });
  });
}
