import type { ChildProcess } from 'node:child_process';
import { resultOf, startCache } from './command.ts';

export interface Served {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  readonly child: ChildProcess;
  /** Its log so far. */
  readonly log: () => string;
}

/** Starts `cache serve` in a folder, on a free port; the test's end is its end. */
export async function serveFrom(folder: string, ...args: readonly string[]): Promise<Served> {
  const child = startCache(folder, ['serve', '--listen', '127.0.0.1:0', ...args]);
  let [shown, log] = ['', ''];
  child.stderr?.on('data', (text: string) => (log += text));
  const ended = resultOf(child);
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout?.on('data', (text: string) => {
      shown += text;
      const [, found] = /^Serving .* on (http:\/\/127\.0\.0\.1:\d+)$/m.exec(shown) ?? [];
      if (found !== undefined) resolve(found);
    });
    void ended.then(({ stderr }) => {
      reject(new Error(`it ended: ${stderr}`));
    });
  });
  return { url, child, log: () => log };
}
