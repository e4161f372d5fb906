import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { statSync, readdirSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { parseEntry } from '../../src/cache/entry.ts';
import { keyOfSoftwareUrl } from '../../src/cache/key.ts';
import { resultOf, runCache, startCache } from '../cli/command.ts';
import { opensslVerifies } from '../fixtures/signing-keys.ts';
import { makeSoftwareRelease, packRelease } from '../fixtures/software-release.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { createRandom } from './random.ts';

const RUNS = process.env['SHACACHE_HEAVY'] ? 200 : 4;
const SEED = Number(process.env['SHACACHE_SEED'] ?? Date.now() % 1_000_000);
const KVM = 'https://lab.nexedi.com/nexedi/slapos/raw/1.0.344/software/kvm/software.cfg';
const KEY = keyOfSoftwareUrl(KVM);

/** Where a kill found the import, as the store shows it. */
type Phase =
  'before the copy' | 'while a temporary file was there' | 'between blob and entry' | 'after the entry';

/** A release of some 20 MB, packed: a part of node's own program, and what doesn't compress. */
async function makeMedium(folder: string): Promise<string> {
  const medium = join(folder, 'medium');
  await mkdir(medium);
  const program = join(folder, 'program');
  await writeFile(program, (await readFile(process.execPath)).subarray(0, 24 << 20));
  const release = await makeSoftwareRelease(join(folder, 'root'), KVM, { program, payload: 12 << 20 });
  const archive = join(medium, 'kvm-1.0.344-ubuntu-22.04.tar.gz');
  await packRelease(release, archive);
  return archive;
}

const HASHES = `
import hashlib, os, sys
for name in os.listdir(sys.argv[1]):
    with open(os.path.join(sys.argv[1], name), 'rb') as blob:
        print(name, hashlib.sha512(blob.read()).hexdigest())
`;

async function listed(folder: string): Promise<readonly string[]> {
  return readdir(folder).catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return [];
    throw error;
  });
}

/** No partial blob, no partial entry, and no entry without its blob: Python and openssl are the judges. */
async function expectWhole(store: string, folder: string, certificateFile: string): Promise<void> {
  const blobs = await listed(join(store, 'bcache'));
  if (blobs.length > 0) {
    const { stdout } = await promisify(execFile)('python3', ['-c', HASHES, join(store, 'bcache')]);
    for (const line of stdout.trim().split('\n')) {
      const [name, hash] = line.split(' ');
      expect(hash).toBe(name);
    }
  }
  for (const key of await listed(join(store, 'bdir'))) {
    for (const name of await listed(join(store, 'bdir', key))) {
      const text = await readFile(join(store, 'bdir', key, name), 'utf8');
      const entry = parseEntry((JSON.parse(text) as { entry: unknown }).entry);
      expect(entry.digest).toBe(name);
      expect(blobs).toContain(entry.sha512);
      expect(await opensslVerifies(folder, certificateFile, entry.pair)).toBe(true);
    }
  }
}

/** @param blobBefore the inode of the blob before the import: it is a new file when the import got so far */
async function phaseOf(store: string, pid: number, blobBefore: number | undefined): Promise<Phase> {
  if ((await listed(join(store, 'bdir', KEY))).length > 0) return 'after the entry';
  if (inodeOfBlob(store) !== blobBefore) return 'between blob and entry';
  return temporaryBytes(store, pid) >= 0 ? 'while a temporary file was there' : 'before the copy';
}

it(
  `${RUNS} kills at random moments of an import leave nothing partial, and the next run completes`,
  { timeout: 30_000 + RUNS * 8000 },
  async () => {
    process.stderr.write(`import-kills: SHACACHE_SEED=${SEED}\n`);
    const random = createRandom(SEED);
    const folder = await temporaryFolder();
    const archive = await makeMedium(folder);
    const { size } = await stat(archive);
    const store = join(folder, 'cache-store');
    const certificateFile = join(folder, 'sign.crt');
    expect((await runCache(folder, 'keygen')).code).toBe(0);

    // How long an import takes here: kills at random times are spread over a little more.
    const begin = performance.now();
    expect((await runCache(folder, 'import', archive)).code).toBe(0);
    const duration = performance.now() - begin;
    await rm(store, { recursive: true });

    /** Resolves when a moment to kill has come. All but the first kind wait for something to be seen in the store. */
    const moments: readonly ((blobBefore: number | undefined) => (pid: number) => boolean)[] = [
      () => {
        const end = performance.now() + random() * duration * 1.2;
        return () => performance.now() >= end;
      },
      () => {
        // Of few runs one must hit: then the rest of the write is time enough.
        const wanted = random() * size * (RUNS < 10 ? 0.5 : 1);
        return (pid) => temporaryBytes(store, pid) > wanted;
      },
      (blobBefore) => () => inodeOfBlob(store) !== blobBefore,
    ];

    const phases = new Map<Phase, number>();
    for (let run = 0; run < RUNS; run++) {
      const blobBefore = inodeOfBlob(store);
      const child = startCache(folder, ['import', archive]);
      const result = resultOf(child);
      const pid = child.pid ?? 0;
      const hasCome = (moments[run % moments.length] ?? moments[0])?.(blobBefore) ?? (() => true);
      while (child.exitCode === null && !hasCome(pid)) await setImmediate();
      const gone = child.exitCode === null ? once(child, 'exit') : undefined;
      child.kill('SIGKILL');
      await gone;
      const { code, stderr } = await result;
      expect([null, 0], stderr).toContain(code);
      const phase = await phaseOf(store, pid, blobBefore);
      phases.set(phase, (phases.get(phase) ?? 0) + 1);
      await expectWhole(store, folder, certificateFile);
      // What is complete has no moments left; what is not goes on being killed.
      if (phase === 'after the entry') await rm(store, { recursive: true });
    }
    process.stderr.write(
      `import-kills: ${[...phases].map(([phase, count]) => `${count} ${phase}`).join(', ')}\n`,
    );
    expect(phases.get('while a temporary file was there') ?? 0, `seed ${SEED}`).toBeGreaterThan(0);

    const last = await runCache(folder, 'import', archive);
    expect(last.code, last.stderr).toBe(0);
    expect(await readdir(join(store, 'tmp'))).toEqual([]);
    expect(await listed(join(store, 'bcache'))).toHaveLength(1);
    expect(await listed(join(store, 'bdir', KEY))).toHaveLength(1);
    await expectWhole(store, folder, certificateFile);
  },
);

function names(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // Not there yet.
  }
}

function inodeOfBlob(store: string): number | undefined {
  const [name] = names(join(store, 'bcache'));
  return name === undefined ? undefined : statSync(join(store, 'bcache', name)).ino;
}

/** Bytes of what this process, not a killed one before it, is writing. */
function temporaryBytes(store: string, pid: number): number {
  const own = names(join(store, 'tmp')).find((name) => name.includes(`-${pid}-`));
  if (own === undefined) return -1;
  try {
    return statSync(join(store, 'tmp', own)).size;
  } catch {
    return -1; // It has got its name just now.
  }
}
