import { getAsset, isSea } from 'node:sea';
import { Worker } from 'node:worker_threads';

/**
 * Starts a thread with the module `NAME.ts` next to the module `from`; in dist/ scripts/build.ts puts it there, too. In the
 * executable it is an asset (scripts/build-executable.ts). Tests run from the source, which a thread can read only through tsx.
 * @param from `import.meta.url`
 * @throws the system's error if it can't start a thread
 */
export function startWorker(name: string, from: string): Worker {
  if (isSea()) return new Worker(getAsset(`${name}.js`, 'utf8'), { eval: true, execArgv: [] });
  if (!from.endsWith('.ts')) return new Worker(new URL(`${name}.js`, from), { execArgv: [] });
  const program = `import('tsx/esm/api').then(({ register }) => {
    register();
    return import(${JSON.stringify(new URL(`${name}.ts`, from))});
  })`;
  return new Worker(program, { eval: true, execArgv: [] });
}
