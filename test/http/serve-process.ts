import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import { onTestFinished } from 'vitest';
import { EXECUTABLE, PROGRAM } from '../cli/command.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';

const REPOSITORY = join(import.meta.dirname, '../..');
/** The command as it is installed. */
export const MAIN = join(REPOSITORY, 'dist/cli/main.js');

export interface ServeOptions {
  /** A folder that is there, from an earlier start; a new one unless told. */
  readonly folder?: string;
  /** What `--listen` is told; `127.0.0.1:0`, a free port, unless told. */
  readonly listen?: string;
  /** More lines for config.ini. */
  readonly config?: string;
  /** Done with the store's folder before the start. */
  readonly prepare?: (root: string) => Promise<unknown>;
  /** Variables beside those of the environment. */
  readonly variables?: NodeJS.ProcessEnv;
  /** Of the command line. */
  readonly options?: readonly string[];
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** `cache serve` as it is shipped, in a process and with a store of its own. */
export class ServeProcess {
  /** The store's folder. */
  readonly root: string;
  /** The end of the process. */
  readonly exit: Promise<Exit>;
  stdout = '';
  stderr = '';
  readonly #child: ChildProcessByStdio<null, Readable, Readable>;

  /** Starts it; the test's end is its end. */
  static async start({
    folder: given,
    listen = '127.0.0.1:0',
    config = '',
    prepare,
    variables = {},
    options = [],
  }: ServeOptions = {}): Promise<ServeProcess> {
    failWhenStale();
    const folder = given ?? (await temporaryFolder());
    const root = join(folder, 'store');
    await mkdir(join(root, 'bcache'), { recursive: true });
    await writeFile(join(folder, 'config.ini'), `[store]\npath = store\n${config}`);
    await prepare?.(root);
    const args = [
      ...PROGRAM.slice(1),
      'serve',
      '-c',
      join(folder, 'config.ini'),
      '--listen',
      listen,
      ...options,
    ];
    const child = spawn(PROGRAM[0], args, {
      cwd: folder,
      env: { ...process.env, ...variables },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const serve = new ServeProcess(root, child);
    onTestFinished(async () => {
      child.kill('SIGKILL');
      await serve.exit;
    });
    return serve;
  }

  private constructor(root: string, child: ChildProcessByStdio<null, Readable, Readable>) {
    this.root = root;
    this.#child = child;
    child.stdout.on('data', (text: Buffer) => (this.stdout += text.toString()));
    child.stderr.on('data', (text: Buffer) => (this.stderr += text.toString()));
    this.exit = new Promise((resolve) => {
      child.once('close', (code, signal) => {
        resolve({ code, signal });
      });
    });
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error('the process could not be started');
    return this.#child.pid;
  }

  /** The port that it listens on, as soon as it does. */
  async port(): Promise<number> {
    return Number(new URL((await this.urls())[0] ?? '').port);
  }

  /** What it tells of where it listens, as soon as it does; one for each address of `listen`. */
  async urls(): Promise<readonly string[]> {
    for (;;) {
      const [, list] = /^Serving .*? on (http.*)\n/m.exec(this.stdout) ?? [];
      if (list !== undefined) return list.split(' ');
      const next = new Promise<'more'>((resolve) => {
        this.#child.stdout.once('data', () => {
          resolve('more');
        });
      });
      if ((await Promise.race([next, this.exit])) !== 'more') throw new Error(`it ended: ${this.stderr}`);
    }
  }

  signal(name: 'SIGTERM' | 'SIGINT' | 'SIGHUP' | 'SIGKILL'): void {
    process.kill(this.pid, name);
  }

  /** The most memory that it ever had, in bytes (`VmHWM` of proc(5)). */
  async peakMemory(): Promise<number> {
    const [, kilobytes] =
      /^VmHWM:\s*(\d+) kB$/m.exec(await readFile(`/proc/${this.pid}/status`, 'utf8')) ?? [];
    return Number(kilobytes) * 1024;
  }

  /** All bytes that it ever read, from files and sockets (`rchar` of proc(5)). */
  async bytesRead(): Promise<number> {
    const [, bytes] = /^rchar: (\d+)$/m.exec(await readFile(`/proc/${this.pid}/io`, 'utf8')) ?? [];
    return Number(bytes);
  }
}

/** A test of yesterday's program would say nothing about today's. */
function failWhenStale(): void {
  const built = statSync(EXECUTABLE ?? MAIN, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  const source = join(REPOSITORY, 'src');
  const files = readdirSync(source, { recursive: true, withFileTypes: true }).filter((file) => file.isFile());
  const newest = files.find((file) => statSync(join(file.parentPath, file.name)).mtimeMs > built);
  if (newest !== undefined)
    throw new Error(
      `${EXECUTABLE ?? 'dist/'} is older than ${newest.name}; run: npm run build${EXECUTABLE === undefined ? '' : ':executable'}`,
    );
}
