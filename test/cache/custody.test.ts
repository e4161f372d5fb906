import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { FIRST_PREVIOUS, formatCustodyLine, type CustodyEvent } from '../../src/cache/custody.ts';
import { checkCustody } from '../../src/cache/custody-chain.ts';
import { digestOf, type Digest } from '../../src/cache/digest.ts';
import { keyOfSoftwareUrl } from '../../src/cache/key.ts';
import { collect } from '../fixtures/collect.ts';
import { check, linesOf } from '../fixtures/custody.ts';
import { RAPID_CDN } from '../fixtures/entries.ts';

const ALICE = { user: 'root', sudoUser: 'alice', host: 'master' };
const IMPORT: CustodyEvent = {
  action: 'import',
  key: keyOfSoftwareUrl(RAPID_CDN),
  entry: digestOf('entry'),
  sha512: digestOf('blob'),
  softwareUrl: RAPID_CDN,
  size: 123,
  source: '/mnt/device/software/rapid-cdn-1.0.344-ubuntu-22.04.tar.gz',
};

interface LineChanges {
  readonly event?: CustodyEvent;
  readonly at?: string;
  readonly cutOff?: number;
}

function lineAfter(
  previous: Digest,
  { event = IMPORT, at = '2026-11-20T21:34:00Z', cutOff }: LineChanges = {},
): string {
  return formatCustodyLine({ previous, cutOff, at: new Date(at), who: ALICE, event });
}

/** Lines that differ, each continuing the one before. */
function chain(length: number): readonly string[] {
  const lines: string[] = [];
  for (let number = 0; number < length; number++) {
    const before = lines.at(-1);
    const event = { ...IMPORT, source: `/mnt/${number}` };
    lines.push(lineAfter(before === undefined ? FIRST_PREVIOUS : digestOf(before), { event }));
  }
  return lines;
}

const asText = (lines: readonly string[]): string => lines.map((line) => `${line}\n`).join('');

describe('a line', () => {
  it('names the one before by the sha512 of its bytes, the first one that of nothing', () => {
    const [first = '', second = ''] = chain(2);
    const sha512 = (text: string): string => createHash('sha512').update(text).digest('hex');
    expect(first.startsWith(`{"previous":"${sha512('')}",`)).toBe(true);
    expect(second.startsWith(`{"previous":"${sha512(first)}",`)).toBe(true);
  });

  it('tells who, what and when', () => {
    expect(JSON.parse(lineAfter(FIRST_PREVIOUS))).toEqual({
      previous: FIRST_PREVIOUS,
      at: '2026-11-20T21:34:00.000Z',
      who: ALICE,
      ...IMPORT,
    });
  });

  it('tells of a client its address, and its name only where it was proved', () => {
    const whoOf = (user: string | undefined): unknown => {
      const who = { user, remote: '192.168.32.9', host: 'master' };
      const line = formatCustodyLine({
        ...{ previous: FIRST_PREVIOUS, at: new Date(0), who },
        event: { action: 'upload' },
      });
      return (JSON.parse(line) as { who: unknown }).who;
    };
    expect(whoOf('ci')).toEqual({ user: 'ci', remote: '192.168.32.9', host: 'master' });
    expect(whoOf(undefined)).toEqual({ remote: '192.168.32.9', host: 'master' });
  });

  it('is one line in plain text, whatever it is told', () => {
    const hostile = 'a\nb\r\u2028c\u2029d\u0085e\u009b2Jf\u007fg\0h\ud800i"\\';
    const line = lineAfter(FIRST_PREVIOUS, { event: { action: 'repair', reason: hostile } });
    expect(line).not.toMatch(/[\p{Cc}\u2028\u2029]/u);
    expect((JSON.parse(line) as { reason: string }).reason).toBe(hostile);
  });

  it('stays short: texts without end are cut, as is what takes most room', () => {
    const endless = '\0'.repeat(1_000_000);
    const texts = { softwareUrl: endless, source: endless, target: endless, reason: endless };
    const line = formatCustodyLine({
      ...{
        previous: FIRST_PREVIOUS,
        at: new Date(0),
        who: { user: endless, sudoUser: endless, host: endless },
      },
      event: { ...IMPORT, ...texts },
    });
    expect(Buffer.byteLength(line)).toBeLessThan(128 * 1024);
    const { reason } = JSON.parse(line) as { reason: string };
    expect(reason).toHaveLength(2000);
    expect(reason.at(-1)).toBe('…');
  });
});

describe('a chain', () => {
  it('of no line, one and many has nothing wrong', async () => {
    for (const length of [0, 1, 2, 50]) expect(await check(asText(chain(length)))).toEqual([]);
  });

  it('gives each line back as it is, with its number, its digest and what it tells', async () => {
    const lines = chain(3);
    const checked = await collect(checkCustody(linesOf(asText(lines))));
    expect(checked.map(({ text }) => text)).toEqual(lines);
    expect(checked.map(({ number }) => number)).toEqual([1, 2, 3]);
    expect(checked.map(({ digest }) => digest)).toEqual(lines.map((line) => digestOf(line)));
    expect(checked.map(({ record }) => record?.source)).toEqual(['/mnt/0', '/mnt/1', '/mnt/2']);
  });

  it('may tell of actions and members that this version does not know', async () => {
    const known = lineAfter(FIRST_PREVIOUS);
    const strange = known.replace('"action":"import"', '"action":"teleport","mood":{"good":true}');
    expect(strange).not.toBe(known);
    expect(await check(`${strange}\n${lineAfter(digestOf(strange))}\n`)).toEqual([]);
  });

  it('may have a clock that goes backwards', async () => {
    const first = lineAfter(FIRST_PREVIOUS, { at: '2026-11-20T21:34:00Z' });
    const second = lineAfter(digestOf(first), { at: '1970-01-01T00:00:17Z' });
    expect(await check(asText([first, second]))).toEqual([]);
  });
});

describe('in a chain that somebody changed it is found', () => {
  const LINES = chain(6);
  const [a = '', b = '', c = '', d = '', e = '', f = ''] = LINES;
  const forged = lineAfter(digestOf(b), { event: { action: 'remove', reason: 'forged' } });

  it.each<[string, readonly string[], readonly string[]]>([
    ['that a line was edited', [a, b, c.replace('/mnt/2', '/mnt/9'), d, e, f], ['4 broken']],
    ['that the first line was edited', [a.replace('root', 'toor'), b, c, d, e, f], ['2 broken']],
    ['that only white space was edited', [a, b, c.replace('{"', '{ "'), d, e, f], ['4 broken']],
    ['that a line was removed', [a, b, d, e, f], ['3 broken']],
    ['that the first line was removed', [b, c, d, e, f], ['1 broken']],
    ['that lines were removed', [a, e, f], ['2 broken']],
    ['that a line was inserted', [a, b, forged, c, d, e, f], ['4 broken']],
    ['that a line was inserted in front', [lineAfter(FIRST_PREVIOUS), a, b, c], ['2 broken']],
    ['that a line was replaced', [a, b, forged, d, e, f], ['4 broken']],
    ['that a line stands there twice', [a, b, b, c, d, e, f], ['3 broken']],
    ['that two lines changed places', [a, c, b, d, e, f], ['2 broken', '3 broken', '4 broken']],
    ['that two logs were put together', [...LINES, ...chain(2)], ['7 broken']],
    ['that an empty line was inserted', [a, b, '', c, d, e, f], ['3 broken', '4 broken']],
    ['that something else was inserted', [a, b, 'hello', c, d, e, f], ['3 broken', '4 broken']],
    ['that something else was appended', [...LINES, 'hello'], ['7 broken']],
    ['that JSON which is no line was appended', [...LINES, '{"previous":1}'], ['7 broken']],
    ['that a line was shortened', [a, b, c.slice(0, 300), d, e, f], ['3 broken', '4 broken']],
    [
      'that a line which starts like a good one was shortened',
      [a, b, c.slice(0, -1), d],
      ['3 broken', '4 broken'],
    ],
  ])('%s', async (_what, lines, findings) => {
    expect(await check(asText(lines))).toEqual(findings);
  });

  it('says of which line, and what may have happened', async () => {
    const [, , line] = await collect(checkCustody(linesOf(asText([a, b, d]))));
    expect(line?.finding).toEqual({
      line: 3,
      kind: 'broken',
      message:
        'line 3 does not continue line 2: one of the two was changed, or lines were removed, added or moved here',
    });
  });

  it('whatever byte is changed, of any line that another one follows', async () => {
    const good = Buffer.from(asText([a, b, c]));
    for (let position = 0; position < a.length + b.length + 2; position++) {
      const bad = Buffer.from(good);
      bad[position] = (bad[position] ?? 0) ^ 0x01;
      expect(await check(bad), `byte ${position}`).toContainEqual(expect.stringMatching(/broken$/));
    }
  });

  it('but not when it was the end that was removed or edited: nothing follows that would tell', async () => {
    expect(await check(asText([a, b, c]))).toEqual([]);
    expect(await check(asText([a, b, c.replace('/mnt/2', '/mnt/9')]))).toEqual([]);
  });
});

describe('a line that was cut off', () => {
  const [a = '', b = '', c = ''] = chain(3);

  it('at the end, after any byte, is told as such and as nothing worse', async () => {
    for (let length = 1; length <= b.length; length++)
      expect(await check(`${a}\n${b.slice(0, length)}`), `${length} bytes`).toEqual(['2 cut-off']);
  });

  it('is that in the middle, too, when the next writer said so', async () => {
    for (const length of [1, 12, 141, 142, 150, 300]) {
      const part = b.slice(0, length);
      const next = lineAfter(digestOf(part), { cutOff: length });
      expect(await check(`${a}\n${part}\n`), `${length} bytes`).toEqual(['2 cut-off']);
      expect(await check(`${a}\n${part}\n${next}\n`), `${length} bytes`).toEqual(['2 cut-off']);
      // The next writer was interrupted, too.
      for (const more of [0, 1, 100, 160, 200]) {
        const second = next.slice(0, more);
        expect(await check(`${a}\n${part}\n${second}`), `${length} and ${more}`).toEqual(
          more === 0 ? ['2 cut-off'] : ['2 cut-off', '3 cut-off'],
        );
      }
    }
  });

  it('may have lost all but its newline', async () => {
    const next = lineAfter(digestOf(b), { cutOff: b.length });
    expect(await check(asText([a, b, next]))).toEqual([]);
  });

  it('may have zeros in place of its end, as a loss of power leaves them', async () => {
    for (const part of [`${b.slice(0, 200)}${'\0'.repeat(50)}`, '\0'.repeat(4096)]) {
      const next = lineAfter(digestOf(part), { cutOff: Buffer.byteLength(part) });
      expect(await check(`${a}\n${part}`)).toEqual(['2 cut-off']);
      expect(await check(`${a}\n${part}\n${next}\n`)).toEqual(['2 cut-off']);
    }
  });

  it.each<[string, string]>([
    ['the part of another line', c.slice(0, 300)],
    ['something else', 'hello'],
    ['a part with something after it', `${b.slice(0, 100)}hello`],
  ])('is not taken for one when it is %s', async (_what, part) => {
    const next = lineAfter(digestOf(part), { cutOff: part.length });
    expect(await check(`${a}\n${part}\n${next}\n`)).toEqual(['2 broken']);
  });

  it('is not taken for one when its length was another', async () => {
    const part = b.slice(0, 200);
    expect(await check(`${a}\n${part}\n${lineAfter(digestOf(part), { cutOff: 201 })}\n`)).toEqual([
      '2 broken',
    ]);
    expect(await check(`${a}\n${part}\n${lineAfter(digestOf(part))}\n`)).toEqual(['2 broken']);
  });
});
