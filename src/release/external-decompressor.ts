import { spawn } from 'node:child_process';
import { CacheError, systemCode } from '../cache/errors.ts';
import {
  corruptCompression,
  cutOffCompression,
  garbageAfterCompression,
  inspectionStopped,
  tooMuchMemory,
} from './compression-fault.ts';
import type { Decompressor, Sink } from './decompressor.ts';

/** The Debian package of each program. */
const PACKAGES = { bzip2: 'bzip2', xz: 'xz-utils' } as const;

/** xz -9 needs 65 MiB, but a header of a few bytes can claim 4 GiB. */
const OPTIONS = { bzip2: ['-dc'], xz: ['-dc', '--memlimit-decompress=256MiB'] } as const;

/** Characters of a program's standard error to keep. */
const COMPLAINT_LENGTH_LIMIT = 4096;

/**
 * Decompresses with a child process, bzip2 or xz, because node has neither. The child has ended when `end()`
 * settles or `write()` rejects, and ends soon after `abort()`.
 */
export function createExternalDecompressor(program: keyof typeof PACKAGES, sink: Sink): Decompressor {
  // The user's settings could limit memory or silence errors.
  const settings = { LC_ALL: 'C', XZ_OPT: '', XZ_DEFAULTS: '', BZIP: '', BZIP2: '' };
  const child = spawn(program, OPTIONS[program], { stdio: 'pipe', env: { ...process.env, ...settings } });
  let complaint = '';
  let ending = false;
  let fault: CacheError | undefined;
  let finished = false;
  let settle: (() => void) | undefined;

  const finish = (reason: CacheError | undefined): void => {
    if (finished) return;
    finished = true;
    fault = reason;
    settle?.();
  };
  child.stdout.on('data', sink);
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaint = (complaint + text).slice(0, COMPLAINT_LENGTH_LIMIT);
  });
  // EPIPE: the child stopped reading. Its exit code follows.
  child.stdin.on('error', () => undefined);
  child.on('error', (error) => {
    finish(spawnFault(program, error));
  });
  // 'close', not 'exit': by then all output was read.
  child.on('close', (code, signal) => {
    finish(
      exitFault(program, code, signal, complaint) ?? (ending ? undefined : garbageAfterCompression(program)),
    );
  });

  /** Waits for one step or for the child's end. */
  function step(run: (done: () => void) => void): Promise<void> {
    return new Promise((resolve, reject) => {
      settle = () => {
        if (fault === undefined) resolve();
        else reject(fault);
      };
      if (finished) settle();
      else run(resolve);
    });
  }

  return {
    write: (bytes) =>
      step((done) => {
        child.stdin.write(bytes, (error) => {
          if (!error) done();
        });
      }),
    end: () =>
      step(() => {
        ending = true;
        child.stdin.end();
      }),
    abort() {
      finish(inspectionStopped());
      child.stdout.off('data', sink);
      child.kill('SIGKILL');
      child.stdin.destroy();
      child.stdout.destroy();
      child.stderr.destroy();
    },
  };
}

function spawnFault(program: keyof typeof PACKAGES, cause: Error): CacheError {
  const reason =
    systemCode(cause) === 'ENOENT'
      ? `the program "${program}" is not installed; run: apt install ${PACKAGES[program]}`
      : `the program "${program}" can't be run (${cause.message})`;
  return new CacheError('unsupported-archive', `compressed with ${program}, but ${reason}`, { cause });
}

/** The fault that ended a child; undefined if it succeeded. */
function exitFault(
  program: keyof typeof PACKAGES,
  code: number | null,
  signal: string | null,
  complaint: string,
): CacheError | undefined {
  const cause = new Error(
    complaint.trim().split('\n')[0]?.trim() || `exit code ${code ?? 'none'}, signal ${signal ?? 'none'}`,
  );
  // bzip2 ignores garbage and only warns.
  if (/trailing garbage/.test(complaint)) return garbageAfterCompression(program, cause);
  if (code === 0) return undefined;
  if (/Memory usage limit/.test(complaint)) return tooMuchMemory(cause);
  // The magic bytes were right, so a format that xz doesn't recognize is half a header.
  if (/Unexpected end of input|ends unexpectedly|format not recognized/.test(complaint))
    return cutOffCompression(program, cause);
  if (/corrupt|integrity error|not a bzip2 file/i.test(complaint)) return corruptCompression(program, cause);
  return new CacheError('unsupported-archive', `"${program}" could not decompress it (${cause.message})`, {
    cause,
  });
}
