import { describe, expect, it } from 'vitest';
import { wrapFor } from '../../src/cli/terminal/wrap.ts';

const wrap = (text: string, columns: number): readonly string[] =>
  wrapFor({ isTTY: true, columns }, text).split('\n');

describe('prose on a terminal', () => {
  it('breaks at spaces, and stays as it is where it fits', () => {
    expect(wrap('cache: the store is empty; fill it\nshort', 20)).toEqual([
      'cache: the store is',
      'empty; fill it',
      'short',
    ]);
    expect(wrap('kept  a/b', 9)).toEqual(['kept  a/b']);
  });

  it('keeps its indentation', () => {
    expect(wrap('  the node finds no build', 14)).toEqual(['  the node', '  finds no', '  build']);
  });

  it('never breaks a path, a URL or a quoted text', () => {
    expect(wrap("see https://example.com/a/b or '/mnt/my disk/a' now", 12)).toEqual([
      'see',
      'https://example.com/a/b',
      'or',
      "'/mnt/my disk/a'",
      'now',
    ]);
  });

  it('never breaks a command to be pasted', () => {
    expect(
      wrap("damaged; replace it with: cache export --recheck '/mnt/a b', or run: umount /mnt/device", 30),
    ).toEqual([
      'damaged; replace it with:',
      "cache export --recheck '/mnt/a b',",
      'or run: umount /mnt/device',
    ]);
    expect(wrap('-> bring it, then cache import -c site/config.ini FOLDER', 30)[1]).toBe(
      'cache import -c site/config.ini FOLDER',
    );
    expect(wrap('  cache init /srv/shacache --no-key --trust /mnt/sign.crt', 20)).toHaveLength(1);
    expect(wrap('run: /mnt/device/cache import /mnt/device', 20)[1]).toBe(
      '/mnt/device/cache import /mnt/device',
    );
  });

  it.each([50, 80])('of %i columns has a fingerprint on two lines of its own', (columns) => {
    const half = Array.from({ length: 16 }, () => 'A7').join(':');
    expect(wrap(`trusted: "Site A" (SHA-256 ${half}:${half}); compare it`, columns)).toEqual([
      'trusted: "Site A" (SHA-256',
      `  ${half}:`,
      `  ${half});`,
      'compare it',
    ]);
    expect(wrap(`${half}:${half}\n  Site A`, columns)).toEqual([`${half}:`, half, '  Site A']);
  });

  it('is not changed for a pipe, or a terminal of unknown size', () => {
    const text = 'word '.repeat(100);
    expect(wrapFor({ isTTY: false, columns: 20 }, text)).toBe(text);
    expect(wrapFor({ isTTY: true, columns: 0 }, text)).toBe(text);
  });
});
