import { createHmac, randomBytes } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { CacheError, shortReasonOf, systemCode } from '../cache/errors.ts';
import { readSmallFile } from '../files/small-file.ts';
import type { Clock } from './clock.ts';
import { parseHtpasswd, type Htpasswd } from './htpasswd.ts';
import { createPasswordThread, type MatchesHash } from './password-thread.ts';

/** The result of a check in an htpasswd file. */
type PasswordVerdict = 'right' | 'wrong' | 'unknown-name';

/** An htpasswd file that is read again when it changes. */
export interface HtpasswdFile {
  /** Counts the contents that were loaded. */
  readonly generation: number;
  /** Reloads a changed file; checks at most once a second. Never throws: reports faults of a new version. */
  refresh(): Promise<void>;
  /**
   * Takes as long for an unknown name: compares the password with the hash of another user, always the same for one name,
   * and drops the result.
   */
  verify(name: string, password: string): Promise<PasswordVerdict>;
}

export interface HtpasswdFileParts {
  /** Called once for a new version that can't be read; the last good version stays in use. */
  readonly report: (problem: CacheError) => void;
  readonly clock: Clock;
  /** A new thread by default. */
  readonly matches?: MatchesHash | undefined;
  /** Returns a text that differs after each change of the file; from `stat` by default. */
  readonly versionOf?: ((path: string) => Promise<string>) | undefined;
}

const CHECK_INTERVAL_MS = 1000;
/** Bytes; 100 000 users have 7 MB. */
const SIZE_LIMIT = 16 * 1024 * 1024;

/** The users of a file. @throws CacheError `config` when it can't be read or is invalid */
export async function readHtpasswdFile(path: string): Promise<Htpasswd> {
  return parseHtpasswd((await readVersion(path, statVersion)).bytes, path);
}

/** @throws CacheError `config` when the file can't be read or is invalid */
export async function openHtpasswdFile(
  path: string,
  { report, clock, matches = createPasswordThread(), versionOf = statVersion }: HtpasswdFileParts,
): Promise<HtpasswdFile> {
  let { bytes, version } = await readVersion(path, versionOf);
  let people = parseHtpasswd(bytes, path);
  let hashes = [...people.values()];
  let generation = 1;
  let checked = clock.now();
  let checking: Promise<void> | undefined;
  // File systems have coarse clocks, which miss a change right after the reading: each version is read once more.
  let isConfirmed = false;
  let reported: string | undefined;
  const decoyKey = randomBytes(32);

  const take = (next: Htpasswd): void => {
    people = next;
    hashes = [...next.values()];
    generation++;
  };

  const check = async (): Promise<void> => {
    try {
      if (isConfirmed && (await versionOf(path)) === version) return;
      const found = await readVersion(path, versionOf);
      isConfirmed = found.version === version;
      version = found.version;
      reported = undefined;
      if (found.bytes.equals(bytes)) return;
      bytes = found.bytes;
      take(parseHtpasswd(bytes, path));
    } catch (error) {
      const problem = error instanceof CacheError ? error : unreadable(path, error);
      if (problem.message === reported) return;
      reported = problem.message;
      report(
        new CacheError(problem.code, `${problem.message}; the version read before stays in use`, {
          cause: problem,
        }),
      );
    }
  };

  const decoyFor = (name: string) =>
    hashes[createHmac('sha256', decoyKey).update(name).digest().readUInt32BE() % Math.max(1, hashes.length)];

  return {
    get generation() {
      return generation;
    },
    async refresh() {
      if (checking === undefined) {
        if (clock.now() - checked < CHECK_INTERVAL_MS) return;
        checking = check().finally(() => {
          checked = clock.now();
          checking = undefined;
        });
      }
      await checking;
    },
    async verify(name, password) {
      const known = people.get(name);
      const compared = known ?? decoyFor(name);
      const isRight = compared !== undefined && (await matches(password, compared));
      if (known === undefined) return 'unknown-name';
      return isRight ? 'right' : 'wrong';
    },
  };
}

interface Version {
  readonly bytes: Buffer;
  readonly version: string;
}

async function readVersion(path: string, versionOf: (path: string) => Promise<string>): Promise<Version> {
  try {
    const version = await versionOf(path);
    return { bytes: await readSmallFile(path, SIZE_LIMIT), version };
  } catch (error) {
    throw error instanceof CacheError ? error : unreadable(path, error);
  }
}

async function statVersion(path: string): Promise<string> {
  const found = await stat(path, { bigint: true });
  if (!found.isFile()) throw new CacheError('config', `${path}: not a file`);
  if (found.size > SIZE_LIMIT) {
    throw new CacheError('config', `${path}: more than ${SIZE_LIMIT} bytes; is this an htpasswd file?`);
  }
  return [found.dev, found.ino, found.size, found.mtimeNs, found.ctimeNs].join(' ');
}

function unreadable(path: string, error: unknown): CacheError {
  const reason = systemCode(error) === 'ENOENT' ? 'no such file' : shortReasonOf(error);
  return new CacheError('config', `${path}: can't be read: ${reason}`, { cause: error });
}
