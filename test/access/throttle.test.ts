import { describe, expect, it } from 'vitest';
import { createThrottle } from '../../src/access/throttle.ts';
import { faultOf } from './fault.ts';
import { createManualClock } from './manual-clock.ts';

const A = '192.0.2.1';
const B = '192.0.2.2';

function openThrottle() {
  const clock = createManualClock();
  const throttle = createThrottle(clock);
  let checks = 0;
  const attempt = (network: string, name: string, result: string | undefined) =>
    throttle.attempt(network, name, () => {
      checks++;
      return Promise.resolve(result);
    });
  const fail = (network: string, name = 'alice') => attempt(network, name, undefined);
  const succeed = (network: string, name = 'alice') => attempt(network, name, 'welcome');
  /** Fails once and waits as long as it takes. @returns the delays that ran then */
  const failAndWait = async (network: string, name?: string) => {
    const answer = fail(network, name);
    await settle();
    const delays = [...clock.delays];
    clock.advance(16_000);
    expect(await answer).toBeUndefined();
    return delays;
  };
  return {
    clock,
    fail,
    succeed,
    failAndWait,
    throttle,
    get checks() {
      return checks;
    },
  };
}

/** Everything that can go on without time passing has gone on. */
const settle = () => new Promise(setImmediate);

async function slow(failAndWait: (network: string) => Promise<unknown>, network: string, times: number) {
  for (let time = 0; time < times; time++) await failAndWait(network);
}

describe('wrong passwords', () => {
  it('are answered more and more slowly after the fifth', async () => {
    const { failAndWait } = openThrottle();
    const delays: (readonly number[])[] = [];
    for (let times = 0; times < 40; times++) delays.push(await failAndWait(A));
    expect(delays.slice(0, 5)).toEqual([[], [], [], [], []]);
    expect(delays.slice(5, 14).flat()).toEqual([250, 500, 1000, 2000, 4000, 8000, 16_000, 16_000, 16_000]);
    expect(delays.at(-1)).toEqual([16_000]);
  });

  it('of one network slow no other', async () => {
    const { clock, fail, failAndWait, succeed } = openThrottle();
    await slow(failAndWait, A, 20);
    expect(await fail(B)).toBeUndefined();
    expect(await succeed(B)).toBe('welcome');
    expect(clock.delays).toEqual([]);
  });

  it('do not slow the right one of the same network', async () => {
    const { clock, failAndWait, succeed } = openThrottle();
    await slow(failAndWait, A, 20);
    expect(await succeed(A, 'bob')).toBe('welcome');
    expect(clock.delays).toEqual([]);
  });

  it('hold the places of their network: the next guess is refused unchecked, a right one too', async () => {
    const state = openThrottle();
    const { clock, fail, failAndWait, succeed } = state;
    await slow(failAndWait, A, 20);
    const held = Array.from({ length: 8 }, () => fail(A));
    await settle();
    expect(clock.delays).toHaveLength(8);
    const { checks } = state;
    for (const attempt of [fail, succeed]) {
      const { code, message } = await faultOf(() => attempt(A));
      expect(code).toBe('too-many');
      expect(message).toContain(A);
    }
    expect(state.checks).toBe(checks);
    expect(await succeed(B)).toBe('welcome');
    clock.advance(16_000);
    await Promise.all(held);
    expect(await succeed(A)).toBe('welcome');
  });

  it('are forgiven by the right one of the same name', async () => {
    const { clock, fail, failAndWait, succeed } = openThrottle();
    await slow(failAndWait, A, 20);
    await succeed(A);
    for (let times = 0; times < 5; times++) await fail(A);
    expect(clock.delays).toEqual([]);
  });

  it('are not forgiven by the right one of another name', async () => {
    const { failAndWait, succeed } = openThrottle();
    for (let times = 0; times < 5; times++) {
      await failAndWait(A, 'victim');
      await succeed(A, 'guesser');
    }
    expect(await failAndWait(A, 'victim')).toEqual([250]);
  });

  it('are forgotten a quarter of an hour after the last one', async () => {
    const { clock, failAndWait } = openThrottle();
    await slow(failAndWait, A, 6);
    clock.advance(14 * 60_000);
    expect(await failAndWait(A)).toEqual([500]);
    clock.advance(15 * 60_000 + 1);
    expect(await failAndWait(A)).toEqual([]);
  });

  it('at the same time have a bounded number of places before they are known to be wrong', async () => {
    const { throttle } = openThrottle();
    const ends: (() => void)[] = [];
    const attempt = (network: string) =>
      throttle.attempt(
        network,
        'alice',
        () =>
          new Promise<string>((resolve) => {
            ends.push(() => {
              resolve('welcome');
            });
          }),
      );
    const running = Array.from({ length: 32 }, () => attempt(A));
    expect((await faultOf(() => attempt(A))).code).toBe('too-many');
    running.push(attempt(B));
    for (const end of ends) end();
    expect(await Promise.all(running)).toHaveLength(33);
  });

  it('keep a bounded number of timers; beyond it the network is locked by the clock', async () => {
    const { clock, fail, succeed } = openThrottle();
    const networks = Array.from({ length: 65 }, (_, index) => `198.51.100.${index}`);
    for (let times = 0; times < 12; times++) {
      const answers = networks.map((network) => fail(network));
      await settle();
      clock.advance(16_000);
      await Promise.all(answers);
    }
    const held = networks.slice(0, 64).flatMap((network) => Array.from({ length: 8 }, () => fail(network)));
    await settle();
    expect(clock.delays).toHaveLength(512);
    const last = networks[64] ?? '';
    expect(await fail(last)).toBeUndefined();
    expect(clock.delays).toHaveLength(512);
    expect((await faultOf(() => succeed(last))).code).toBe('too-many');
    expect(await succeed(A)).toBe('welcome');
    clock.advance(16_000);
    await Promise.all(held);
    expect(await succeed(last)).toBe('welcome');
  });

  it('are not counted when the check itself failed, and the place is given back', async () => {
    const { clock, fail, throttle } = openThrottle();
    const broken = () => throttle.attempt(A, 'alice', () => Promise.reject(new Error('LDAP is down')));
    for (let times = 0; times < 100; times++) await expect(broken()).rejects.toThrow('LDAP is down');
    await fail(A);
    expect(clock.delays).toEqual([]);
  });
});
