import { mkdir, readdir, stat, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { beforeEach, expect, it, onTestFinished } from 'vitest';
import { takeLongLock } from '../../src/storage/long-lock.ts';
import { ownerTag } from '../../src/storage/temporary-name.ts';
import { expectCacheError } from '../fixtures/expected-error.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';

let folder: string;

beforeEach(async () => {
  folder = await temporaryFolder();
});

const take = (patience = 30_000, onWait?: () => void) =>
  takeLongLock(folder, 'lock', { patience, ...(onWait === undefined ? {} : { onWait }) });

/** Somebody has the lock. @returns his folder */
async function lockedBy(owner: string): Promise<string> {
  const path = join(folder, 'lock', owner);
  await mkdir(path, { recursive: true });
  return path;
}

const KILLED = ownerTag().replace(/^(\w+)-\w+/, '$1-00000000');
const ELSEWHERE = ownerTag().replace(/^\w+/, '00000000');

it('is had by one, and nothing is left of the others, nor of it', async () => {
  const taken = await Promise.all(Array.from({ length: 12 }, () => take()));
  const [free, ...more] = taken.filter((one) => one !== undefined);
  expect(more).toEqual([]);
  expect(await readdir(folder)).toEqual(['lock']);
  await free?.();
  expect(await readdir(folder)).toEqual([]);
  const again = await take();
  expect(again).toBeDefined();
  await again?.();
});

it('is taken at once from who is gone', async () => {
  await lockedBy(`${KILLED}.x`);
  await (
    await take()
  )?.();
  expect(await readdir(folder)).toEqual([]);
});

it('is taken from who can not be seen when he does not go on, and that is told', async () => {
  await lockedBy(`${ELSEWHERE}.x`);
  let told = 0;
  const free = await take(200, () => told++);
  expect(free).toBeDefined();
  expect(told).toBe(1);
  await free?.();
});

it('is left to who can not be seen, but goes on', async () => {
  const path = await lockedBy(`${ELSEWHERE}.x`);
  let second = 0;
  const beating = setInterval(() => void utimes(path, second, ++second), 50);
  onTestFinished(() => {
    clearInterval(beating);
  });
  expect(await take()).toBeUndefined();
  expect(await readdir(folder)).toEqual(['lock']);
});

it('is not waited for without end', async () => {
  await writeFile(join(await lockedBy(`${KILLED}.x`), 'file'), '');
  await expectCacheError(take(100), 'storage', /lock can't be taken; remove it if nobody uses it/);
  expect(await readdir(folder)).toEqual(['lock']);
});

it('is taken with what others left beside it that were killed, and with nothing else', async () => {
  for (const name of [`${KILLED}.1`, `${KILLED}.2/${KILLED}.2`, `${KILLED}.3/file`, `${ELSEWHERE}.4`, 'own'])
    await mkdir(join(folder, name), { recursive: true });
  const free = await take();
  expect(new Set(await readdir(folder))).toEqual(new Set([`${KILLED}.3`, `${ELSEWHERE}.4`, 'lock', 'own']));
  await free?.();
});

it('is told at once to be in use by none of us where something else is in it', async () => {
  await mkdir(join(folder, 'lock'));
  await writeFile(join(folder, 'lock', 'Thumbs.db'), '');
  await expectCacheError(take(), 'storage', /lock\/Thumbs\.db is in the way; move it away/);
});

it('shows that its owner goes on', async () => {
  const free = await take();
  const [owner = ''] = await readdir(join(folder, 'lock'));
  await utimes(join(folder, 'lock', owner), 1, 1);
  await expect
    .poll(async () => (await stat(join(folder, 'lock', owner))).mtimeMs, { timeout: 10_000 })
    .toBeGreaterThan(1000);
  await free?.();
});
