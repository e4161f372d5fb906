import { Worker } from 'node:worker_threads';

/**
 * Starts a thread with a module of this program, `NAME.ts` beside the module `from`. In dist/ it is beside it, too: scripts/build.ts
 * names those modules. Tests run from the source, which a thread reads by tsx only.
 * @param from `import.meta.url`
 * @throws the system's error when it gives no thread
 */
export function startWorker(name: string, from: string): Worker {
  if (!from.endsWith('.ts')) return new Worker(new URL(`${name}.js`, from), { execArgv: [] });
  const program = `import('tsx/esm/api').then(({ register }) => {
    register();
    return import(${JSON.stringify(new URL(`${name}.ts`, from))});
  })`;
  return new Worker(program, { eval: true, execArgv: [] });
}
