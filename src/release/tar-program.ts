import { spawn } from 'node:child_process';
import { basename, dirname } from 'node:path';
import { CacheError, systemCode } from '../cache/errors.ts';

/** More of what tar says is of no interest. */
const COMPLAINT_LENGTH_LIMIT = 64 * 1024;
const SHOWN_COMPLAINTS = 3;

/**
 * In the format of GNU, names are written as the bytes that they are, so that Python's tarfile gives the same ones back,
 * whatever its version and locale; that of POSIX wants UTF-8. Times are in whole seconds. Owners are told by name and
 * number, because the user of a software release may have another number on the node. Sparse files are written out:
 * tarfile and others don't read the holes alike. In the order of their names, the same folder makes the same tar.
 */
const FORMAT = ['--create', '--format=gnu', '--sort=name', '--blocking-factor=128'];

/** How large the tar of a folder is, without reading the files in it. */
export interface TarMeasure {
  /** Bytes. */
  readonly size: number;
  /** Sockets of programs, which no tar can hold; paths from the folder's own name on. */
  readonly sockets: readonly string[];
}

/** @throws CacheError as `readTar` does */
export async function measureTar(folder: string): Promise<TarMeasure> {
  // GNU tar opens no file when it sees that the tar goes to /dev/null.
  const { output, ended } = startTar(folder, ['--file=/dev/null', '--totals']);
  output.resume();
  const { complaints } = await ended;
  const size = complaints.map((line) => /^Total bytes written: (\d+)/.exec(line)?.[1]).find(Boolean);
  if (size === undefined) throw notGnu(complaints.join('; '));
  const sockets = complaints
    .map((line) => /^tar: (.*): socket ignored$/.exec(line)?.[1] ?? '')
    .filter(Boolean);
  return { size: Number(size), sockets };
}

/**
 * The tar of a folder under its own name, made by GNU tar: everything in it but sockets, with owners, modes, links and times.
 * @throws CacheError `invalid-archive` when something can't be read, or changes meanwhile; `unsupported-archive`
 * without a GNU tar
 */
export async function* readTar(folder: string): AsyncGenerator<Uint8Array> {
  const { output, ended, stop } = startTar(folder, ['--file=-']);
  try {
    for await (const piece of output) yield piece as Uint8Array;
    await ended;
  } finally {
    await stop();
  }
}

function startTar(folder: string, options: readonly string[]) {
  const args = [...FORMAT, ...options, `--directory=${dirname(folder)}`, '--', basename(folder)];
  const child = spawn('tar', args, {
    stdio: ['ignore', 'pipe', 'pipe'],
    // A person's settings could ask for another format.
    env: { ...process.env, LC_ALL: 'C', TAR_OPTIONS: '' },
  });
  let complaint = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint = (complaint + text).slice(0, COMPLAINT_LENGTH_LIMIT);
  });
  const ended = new Promise<{ readonly complaints: readonly string[] }>((resolve, reject) => {
    child.once('error', (error) => {
      reject(spawnFault(error));
    });
    child.once('close', (code, signal) => {
      const complaints = complaint.split('\n').filter((line) => line !== '');
      if (code === 0) resolve({ complaints });
      else reject(exitFault(code, signal, complaints));
    });
  });
  // It may end before anybody waits for that.
  ended.catch(() => undefined);

  async function stop(): Promise<void> {
    child.kill('SIGKILL');
    child.stdout.destroy();
    await ended.catch(() => undefined);
  }

  return { output: child.stdout, ended, stop };
}

function spawnFault(cause: Error): CacheError {
  const reason =
    systemCode(cause) === 'ENOENT'
      ? 'the program "tar" is not installed here; `apt install tar` brings it'
      : `the program "tar" can't be run (${cause.message})`;
  return new CacheError('unsupported-archive', reason, { cause });
}

function exitFault(code: number | null, signal: string | null, lines: readonly string[]): CacheError {
  const complaints = lines
    .map((line) => line.replace(/^tar: /, ''))
    .filter((line) => !/^Exiting with failure status|: socket ignored$/.test(line));
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
        `it changed while it was packed (${what}); wait until slapgrid and whoever else works in it are done, and pack it again`,
      )
    : new CacheError(
        'invalid-archive',
        `tar could not read all of it (${what}); pack it as root, or mend what is wrong`,
      );
}

function notGnu(detail: string): CacheError {
  return new CacheError(
    'unsupported-archive',
    `the "tar" that is installed here is not GNU tar 1.28 or newer (${detail.slice(0, 200)}); \`apt install tar\` brings it`,
  );
}
