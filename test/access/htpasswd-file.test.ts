import { mkdtemp, rename, rm, truncate, unlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { openHtpasswdFile } from '../../src/access/htpasswd-file.ts';
import type { CacheError } from '../../src/cache/errors.ts';
import { faultOf } from './fault.ts';
import type { PasswordHash } from '../../src/access/password-hash.ts';
import type { MatchesHash } from '../../src/access/password-thread.ts';
import { createManualClock } from './manual-clock.ts';

/** Of "one" and "two". */
const ONE = '{SHA}/gW83NxJKAEngaXxoqd8u1OY4QY=';
const TWO = '{SHA}rXguzax3D8brmmLkT5CHP7l/sms=';
const BCRYPT = '$2y$05$jxikLkGbiGP/yawlU3e1kuljemsbUEbVRPMqLroaAth5ZhqO95j2W';

let folder: string;
let path: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'shacache-htpasswd-'));
  path = join(folder, 'htpasswd');
});

afterEach(() => rm(folder, { recursive: true }));

const textOf = (known: PasswordHash) => (known.scheme === 'bcrypt' ? known.text : known.scheme);

async function openFile(text: string, matches?: MatchesHash) {
  await writeFile(path, text);
  const clock = createManualClock();
  const problems: CacheError[] = [];
  const file = await openHtpasswdFile(path, {
    clock,
    matches,
    report: (problem) => problems.push(problem),
  });
  /** A second passes, and somebody asks. */
  const look = async () => {
    clock.advance(1000);
    await file.refresh();
  };
  return { clock, file, look, problems };
}

describe('an htpasswd file in use', () => {
  it('tells right, wrong and unknown', async () => {
    const { file } = await openFile(`alice:${ONE}\n`);
    expect(await file.verify('alice', 'one')).toBe('right');
    expect(await file.verify('alice', 'two')).toBe('wrong');
    expect(await file.verify('bob', 'one')).toBe('unknown-name');
  });

  it('is read again when it was replaced, rewritten in place, or cut to nothing', async () => {
    const { file, look } = await openFile(`alice:${ONE}\n`);
    await writeFile(`${path}.new`, `alice:${TWO}\n`);
    await rename(`${path}.new`, path);
    await look();
    expect(await file.verify('alice', 'two')).toBe('right');
    expect(await file.verify('alice', 'one')).toBe('wrong');
    await writeFile(path, `bob:${ONE}\n`);
    await look();
    expect(await file.verify('bob', 'one')).toBe('right');
    expect(await file.verify('alice', 'two')).toBe('unknown-name');
    await truncate(path);
    await look();
    expect(await file.verify('bob', 'one')).toBe('unknown-name');
    expect(file.generation).toBe(4);
  });

  it('is not missed when size and mtime stay the same', async () => {
    const { file, look } = await openFile(`alice:${ONE}\n`);
    const moment = new Date(1_700_000_000_000);
    await utimes(path, moment, moment);
    await look();
    await look();
    await writeFile(path, `alice:${TWO}\n`);
    await utimes(path, moment, moment);
    await look();
    expect(await file.verify('alice', 'two')).toBe('right');
  });

  it('is not missed when it changes within one tick of the clock of the file system', async () => {
    await writeFile(path, `alice:${ONE}\n`);
    const clock = createManualClock();
    let tick = 1;
    const parts = { clock, report: () => undefined, versionOf: () => Promise.resolve(`tick ${tick}`) };
    const file = await openHtpasswdFile(path, parts);
    const changeAndLook = async (text: string) => {
      await writeFile(path, text);
      clock.advance(1000);
      await file.refresh();
    };
    await changeAndLook(`alice:${TWO}\n`);
    expect(await file.verify('alice', 'two')).toBe('right');
    tick++;
    await changeAndLook(`alice:${ONE}\n`);
    await changeAndLook(`alice:${TWO}\n`);
    expect(await file.verify('alice', 'two')).toBe('right');
  });

  it('is looked at once a second at most', async () => {
    const { clock, file } = await openFile(`alice:${ONE}\n`);
    await writeFile(path, `alice:${TWO}\n`);
    clock.advance(999);
    await file.refresh();
    expect(await file.verify('alice', 'one')).toBe('right');
    clock.advance(1);
    await Promise.all([file.refresh(), file.refresh()]);
    expect(await file.verify('alice', 'one')).toBe('wrong');
    expect(file.generation).toBe(2);
  });

  it('touched without a change is no new generation', async () => {
    const { file, look } = await openFile(`alice:${ONE}\n`);
    await utimes(path, new Date(), new Date());
    await look();
    await writeFile(path, `alice:${ONE}\n`);
    await look();
    expect(file.generation).toBe(1);
  });

  it.each([
    ['broken', () => writeFile(path, `alice:${TWO}\nbob:hunter2\n`), `:2: the password of "bob"`],
    ['missing', () => unlink(path), 'no such file'],
    ['not UTF-8', () => writeFile(path, Buffer.of(0xff, 0xfe)), 'not UTF-8'],
    ['far too large', () => truncate(path, 17 * 1024 * 1024), 'is this an htpasswd file?'],
  ])(
    'keeps the last good version when the new one is %s, says so once, and takes the next good one',
    async (_what, spoil, message) => {
      const { file, look, problems } = await openFile(`alice:${ONE}\n`);
      await spoil();
      for (let times = 0; times < 3; times++) await look();
      expect(await file.verify('alice', 'one')).toBe('right');
      expect(file.generation).toBe(1);
      expect(problems).toHaveLength(1);
      expect(problems[0]?.code).toBe('config');
      expect(problems[0]?.message).toContain(message);
      expect(problems[0]?.message).toContain('the version read before stays in use');
      await rm(path, { force: true });
      await writeFile(path, `alice:${TWO}\n`);
      await look();
      expect(await file.verify('alice', 'two')).toBe('right');
      expect(problems).toHaveLength(1);
    },
  );

  it('that is missing, broken or a folder from the start is a config error', async () => {
    const parts = { clock: createManualClock(), report: () => undefined };
    const missing = await faultOf(() => openHtpasswdFile(join(folder, 'none'), parts));
    expect([missing.code, missing.message]).toEqual([
      'config',
      `${join(folder, 'none')}: can't be read: no such file`,
    ]);
    expect((await faultOf(() => openHtpasswdFile(folder, parts))).message).toContain('not a file');
    await writeFile(path, 'alice\n');
    expect((await faultOf(() => openHtpasswdFile(path, parts))).message).toContain(
      `${path}:1: not NAME:HASH`,
    );
  });

  it('compares once for an unknown name as well, with the hash of somebody', async () => {
    const compared: string[] = [];
    const { file } = await openFile(`alice:${BCRYPT}\n`, (_password, known) => {
      compared.push(textOf(known));
      return Promise.resolve(true);
    });
    expect(await file.verify('alice', 'x')).toBe('right');
    expect(await file.verify('nobody', 'x')).toBe('unknown-name');
    expect(compared).toEqual([BCRYPT, BCRYPT]);
  });

  it('takes the same decoy for the same unknown name, and different ones for different names', async () => {
    const compared: string[] = [];
    const hashes = ['j', 'k', 'l', 'm'].map((letter) => BCRYPT.replace('$j', `$${letter}`));
    const { file } = await openFile(
      hashes.map((hash, index) => `u${index}:${hash}\n`).join(''),
      (_, known) => {
        compared.push(textOf(known));
        return Promise.resolve(false);
      },
    );
    for (let times = 0; times < 5; times++) await file.verify('nobody', `guess ${times}`);
    expect(compared).toHaveLength(5);
    expect(new Set(compared).size).toBe(1);
    for (let number = 0; number < 100; number++) await file.verify(`nobody ${number}`, 'x');
    expect(new Set(compared).size).toBe(4);
  });
});
