import { spawn } from 'node:child_process';
import { basename, dirname } from 'node:path';
import { createInterface } from 'node:readline';
import { CacheError, systemCode } from '../cache/errors.ts';
import { findLinkedSymlink } from './linked-symlinks.ts';

/** Lines of tar's standard error to keep. */
const COMPLAINTS_LIMIT = 100;
const SHOWN_COMPLAINTS = 3;

/**
 * The GNU format keeps the bytes of names, so that every version of Python's tarfile restores them; POSIX requires UTF-8.
 * Sorted by name, the same folder makes the same tar. Sparse files are written in full, because programs read holes
 * differently.
 */
const FORMAT = ['--create', '--format=gnu', '--sort=name', '--blocking-factor=128'];

/** The tar of a folder, measured without reading its files. */
export interface TarMeasure {
  /** Bytes. */
  readonly size: number;
  /** Paths of sockets, which no tar can hold; they begin with the folder's own name. */
  readonly sockets: readonly string[];
  /** A symbolic link with several names. If there is one, hard links are packed as separate files. */
  readonly linkedSymlink: string | undefined;
}

/** @throws CacheError as `readTar` does */
export async function measureTar(folder: string): Promise<TarMeasure> {
  const linkedSymlink = await findLinkedSymlink(folder);
  // GNU tar reads no file when it writes to /dev/null.
  const { output, ended } = startTar(folder, linkedSymlink, ['--file=/dev/null', '--totals']);
  output.resume();
  const { size, sockets, complaints } = await ended;
  if (size === undefined) throw notGnu(complaints.join('; '));
  return { size, sockets, linkedSymlink };
}

/**
 * Packs a folder under its own name with GNU tar: all files except sockets, with owners, modes, links and times.
 * @throws CacheError `invalid-archive` when a file can't be read or changes meanwhile; `unsupported-archive` without GNU
 * tar
 */
export async function* readTar(folder: string): AsyncGenerator<Uint8Array> {
  const { output, ended, stop } = startTar(folder, await findLinkedSymlink(folder), ['--file=-']);
  try {
    for await (const piece of output) yield piece as Uint8Array;
    await ended;
  } finally {
    await stop();
  }
}

/** The output of tar. */
interface Talk {
  size: number | undefined;
  readonly sockets: string[];
  readonly complaints: string[];
}

function startTar(folder: string, linkedSymlink: string | undefined, options: readonly string[]) {
  const links = linkedSymlink === undefined ? [] : ['--hard-dereference'];
  const args = [...FORMAT, ...links, ...options, `--directory=${dirname(folder)}`, '--', basename(folder)];
  const child = spawn('tar', args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    // The user's settings could select another format.
    env: { ...process.env, LC_ALL: 'C', TAR_OPTIONS: '' },
  });
  const talk: Talk = { size: undefined, sockets: [], complaints: [] };
  createInterface({ input: child.stderr }).on('line', (line) => {
    listen(talk, line);
  });
  const ended = new Promise<Readonly<Talk>>((resolve, reject) => {
    child.once('error', (error) => {
      reject(spawnFault(error));
    });
    child.once('close', (code, signal) => {
      if (code === 0) resolve(talk);
      else reject(exitFault(code, signal, talk.complaints));
    });
  });
  // It may end before the caller awaits it.
  ended.catch(() => undefined);

  async function stop(): Promise<void> {
    child.kill('SIGKILL');
    child.stdout.destroy();
    await ended.catch(() => undefined);
  }

  return { output: child.stdout, ended, stop };
}

function listen(talk: Talk, line: string): void {
  const size = /^Total bytes written: (\d+)/.exec(line)?.[1];
  const socket = /^tar: (.*): socket ignored$/.exec(line)?.[1];
  if (size !== undefined) talk.size = Number(size);
  else if (socket !== undefined) talk.sockets.push(socket);
  else if (line !== '' && talk.complaints.length < COMPLAINTS_LIMIT) talk.complaints.push(line);
}

function spawnFault(cause: Error): CacheError {
  const reason =
    systemCode(cause) === 'ENOENT'
      ? 'the program "tar" is not installed; run: apt install tar'
      : `the program "tar" can't be run (${cause.message})`;
  return new CacheError('unsupported-archive', reason, { cause });
}

function exitFault(code: number | null, signal: string | null, lines: readonly string[]): CacheError {
  const complaints = lines
    .map((line) => line.replace(/^tar: /, ''))
    .filter((line) => !/^Exiting with failure status/.test(line));
  if (complaints.some((line) => /unrecognized option|not supported|unknown option/i.test(line)))
    return notGnu(complaints.join('; '));
  const shown = complaints.slice(0, SHOWN_COMPLAINTS);
  const more = complaints.length > shown.length ? `; and ${complaints.length - shown.length} more` : '';
  const what =
    complaints.length > 0 ? `${shown.join('; ')}${more}` : `ended by ${signal ?? `exit code ${code ?? '?'}`}`;
  // "Some files differ": tar(1), "RETURN VALUE".
  return code === 1
    ? new CacheError(
        'invalid-archive',
        `it changed while it was packed (${what}); wait until slapgrid has finished, and pack it again`,
      )
    : new CacheError(
        'invalid-archive',
        `tar could not read all files (${what}); pack it as root, or fix these files`,
      );
}

function notGnu(detail: string): CacheError {
  return new CacheError(
    'unsupported-archive',
    `the installed "tar" is not GNU tar 1.28 or newer (${detail.slice(0, 200)}); run: apt install tar`,
  );
}
