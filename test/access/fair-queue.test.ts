import { describe, expect, it } from 'vitest';
import { createFairQueue } from '../../src/access/fair-queue.ts';
import { faultOf } from './fault.ts';

/** A queue whose tasks end when they are told to. */
function openQueue(limits: { concurrency: number; maxWaiting: number }) {
  const queue = createFairQueue(limits);
  const started: string[] = [];
  const ends: ((fault?: Error) => void)[] = [];
  const add = (lane: string, name: string) =>
    queue.run(lane, () => {
      started.push(name);
      return new Promise<string>((resolve, reject) => {
        ends.push((fault) => {
          if (fault === undefined) resolve(name);
          else reject(fault);
        });
      });
    });
  /** Ends the task that started first, and lets the next one start. */
  const endFirst = async (fault?: Error) => {
    ends.shift()?.(fault);
    await new Promise(setImmediate);
  };
  return { add, endFirst, started };
}

describe('a fair queue', () => {
  it('runs as many tasks at a time as it may', async () => {
    const { add, endFirst, started } = openQueue({ concurrency: 2, maxWaiting: 10 });
    const results = Promise.all(['1', '2', '3', '4'].map((name) => add('a', name)));
    expect(started).toEqual(['1', '2']);
    await endFirst();
    expect(started).toEqual(['1', '2', '3']);
    for (let times = 0; times < 3; times++) await endFirst();
    expect(await results).toEqual(['1', '2', '3', '4']);
  });

  it('lets the lanes take turns', async () => {
    const { add, endFirst, started } = openQueue({ concurrency: 1, maxWaiting: 100 });
    const all = [
      ...Array.from({ length: 5 }, (_, index) => add('greedy', `g${index}`)),
      add('modest', 'm0'),
      add('other', 'o0'),
      add('modest', 'm1'),
    ];
    for (let times = 0; times < all.length; times++) await endFirst();
    await Promise.all(all);
    expect(started).toEqual(['g0', 'g1', 'm0', 'o0', 'g2', 'm1', 'g3', 'g4']);
  });

  it('goes on after a task that fails', async () => {
    const { add, endFirst, started } = openQueue({ concurrency: 1, maxWaiting: 10 });
    const failing = add('a', 'bad').catch((error: unknown) => String(error));
    const next = add('a', 'good');
    await endFirst(new Error('broken'));
    expect(await failing).toBe('Error: broken');
    expect(started).toEqual(['bad', 'good']);
    await endFirst();
    expect(await next).toBe('good');
    const last = add('a', 'last');
    await endFirst();
    expect(await last).toBe('last');
  });

  it('answers unavailable when too many wait', async () => {
    const { add, endFirst } = openQueue({ concurrency: 1, maxWaiting: 2 });
    const accepted = Promise.all([add('a', '1'), add('a', '2'), add('b', '3')]);
    expect((await faultOf(() => add('c', '4'))).code).toBe('unavailable');
    await endFirst();
    const late = add('c', '5');
    for (let times = 0; times < 3; times++) await endFirst();
    expect(await accepted).toEqual(['1', '2', '3']);
    expect(await late).toBe('5');
  });
});
