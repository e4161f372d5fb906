import { spawn } from 'node:child_process';
import { open, readFile, truncate } from 'node:fs/promises';
import { connect, createServer, type AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** A program that runs until it is told to end. */
export interface BackgroundProcess {
  readonly pid: number;
  /** Milliseconds from before its start until it took connections. */
  readonly startMs: number;
  /** Empties what it has written so far: a full run's access logs would be gigabytes. */
  truncateLog(): Promise<void>;
  /** Ends it by its own pid; does nothing when it has ended already. */
  end(): Promise<void>;
}

export interface BackgroundOptions {
  readonly signal: AbortSignal;
  /** Takes stdout and stderr. */
  readonly logFile: string;
  /** Of 127.0.0.1; the process is ready when it takes connections here. */
  readonly port: number;
}

/** How long a start may take, in milliseconds. */
const START_LIMIT_MS = 60_000;
/** How long a process has to end by itself before it is killed, in milliseconds. */
const END_LIMIT_MS = 5_000;

/** Starts a program and waits until it takes connections. @throws Error with its last words when it doesn't */
export async function startInBackground(
  program: string,
  args: readonly string[],
  { signal, logFile, port }: BackgroundOptions,
): Promise<BackgroundProcess> {
  signal.throwIfAborted();
  // Appending: the file may be truncated while it is written.
  const log = await open(logFile, 'a');
  const begin = performance.now();
  const child = spawn(program, args, { stdio: ['ignore', log.fd, log.fd] });
  const ended = new Promise<void>((resolve) => {
    child.once('error', () => {
      resolve();
    });
    child.once('exit', () => {
      resolve();
    });
  });
  const state = { isRunning: true };
  void ended.then(() => (state.isRunning = false));
  await log.close();

  const end = async (): Promise<void> => {
    if (!state.isRunning) return;
    child.kill('SIGTERM');
    const giveUp = setTimeout(() => child.kill('SIGKILL'), END_LIMIT_MS);
    await ended;
    clearTimeout(giveUp);
  };

  try {
    while (!(await isListening(port))) {
      signal.throwIfAborted();
      if (!state.isRunning) throw new Error(`${program} did not start: ${await faultIn(logFile)}`);
      if (performance.now() - begin > START_LIMIT_MS)
        throw new Error(`${program} takes no connections after ${START_LIMIT_MS / 1000} s`);
      await sleep(2);
    }
  } catch (error) {
    await end();
    throw error;
  }
  return {
    pid: child.pid ?? 0,
    startMs: performance.now() - begin,
    truncateLog: () => truncate(logFile),
    end,
  };
}

/** Ports of 127.0.0.1 that nobody uses now. */
export async function freePorts(count: number): Promise<readonly number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen(0, '127.0.0.1', resolve);
      });
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(
    servers.map(
      (server) =>
        new Promise<void>((resolve) =>
          server.close(() => {
            resolve();
          }),
        ),
    ),
  );
  return ports;
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => {
      resolve(false);
    });
  });
}

/** The line that tells of an error, before the stack that follows it; the last one where there is none. */
async function faultIn(file: string): Promise<string> {
  const lines = (await readFile(file, 'utf8')).trim().split('\n');
  return lines.find((line) => /error|cache:|emerg/i.test(line)) ?? lines.at(-1) ?? '';
}
