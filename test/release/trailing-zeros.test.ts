import { execFileSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { ownZerosOfBzip2 } from '../../src/release/trailing-zeros.ts';

/** The last 16 bytes before the zeros at the end, and how many zeros these are. */
function split(bytes: Buffer): [tail: Buffer, zeros: number] {
  const length = bytes.findLastIndex((byte) => byte !== 0) + 1;
  return [bytes.subarray(Math.max(0, length - 16), length), bytes.length - length];
}

it('tells how many zeros at its end belong to a bzip2 stream', () => {
  const counts = new Set<number>();
  const script =
    'import bz2, sys\nfor n in range(3000): sys.stdout.write(bz2.compress(str(n).encode()).hex() + "\\n")';
  const streams = execFileSync('python3', ['-c', script], { encoding: 'utf8' }).trim().split('\n');
  for (const hex of streams) {
    const [tail, zeros] = split(Buffer.from(hex, 'hex'));
    expect(ownZerosOfBzip2(tail)).toBe(zeros);
    counts.add(zeros);
  }
  expect(counts.has(0)).toBe(true);
  expect(counts.has(1)).toBe(true);
});

it('leaves the zeros to bzip2 when the end of the stream is not there', () => {
  expect(ownZerosOfBzip2(Buffer.from('garbage behind it'))).toBe(5);
  expect(ownZerosOfBzip2(Buffer.alloc(0))).toBe(5);
});
