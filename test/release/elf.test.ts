import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { multiarchOfNode } from '../../src/cache/platform.ts';
import { ELF_START_SIZE, parseElfHeader } from '../../src/release/elf.ts';
import { createMultiarchVote } from '../../src/release/multiarch-vote.ts';

interface Elf {
  readonly machine: number;
  readonly bits?: 32 | 64;
  readonly order?: 'little' | 'big';
  readonly flags?: number;
  readonly type?: number;
}

function elf({ machine, bits = 64, order = 'little', flags = 0, type = 3 }: Elf): Buffer {
  const header = Buffer.alloc(64);
  header.set([0x7f, 0x45, 0x4c, 0x46, bits / 32, order === 'little' ? 1 : 2, 1, 0]);
  const little = order === 'little';
  for (const [offset, value] of [[16, type] as const, [18, machine] as const]) {
    if (little) header.writeUInt16LE(value, offset);
    else header.writeUInt16BE(value, offset);
  }
  if (little) header.writeUInt32LE(flags, bits === 32 ? 0x24 : 0x30);
  else header.writeUInt32BE(flags, bits === 32 ? 0x24 : 0x30);
  return header;
}

describe('parseElfHeader', () => {
  it('reads a program of this machine', () => {
    const header = parseElfHeader(readFileSync('/bin/true').subarray(0, 1024));
    expect(header).toEqual({ multiarch: multiarchOfNode(process.arch), linked: true, dynamic: true });
  });

  it.each<[string | undefined, Elf]>([
    ['x86_64-linux-gnu', { machine: 62 }],
    ['x86_64-linux-gnux32', { machine: 62, bits: 32 }],
    ['i686-linux-gnu', { machine: 3, bits: 32 }],
    ['aarch64-linux-gnu', { machine: 183 }],
    ['arm-linux-gnueabihf', { machine: 40, bits: 32, flags: 0x05000400 }],
    ['arm-linux-gnueabi', { machine: 40, bits: 32, flags: 0x05000200 }],
    [undefined, { machine: 40, bits: 32, flags: 0x05000000 }],
    ['riscv64-linux-gnu', { machine: 243 }],
    ['powerpc64le-linux-gnu', { machine: 21 }],
    ['powerpc64-linux-gnu', { machine: 21, order: 'big' }],
    ['s390x-linux-gnu', { machine: 22, order: 'big' }],
    ['mipsel-linux-gnu', { machine: 8, bits: 32 }],
    ['mips64el-linux-gnuabi64', { machine: 8 }],
    ['loongarch64-linux-gnu', { machine: 258 }],
    [undefined, { machine: 247 }],
  ])('tells %s', (multiarch, header) => {
    expect(parseElfHeader(elf(header))).toEqual({ multiarch, linked: true, dynamic: false });
  });

  it('tells a relocatable object from a program', () => {
    expect(parseElfHeader(elf({ machine: 62, type: 1 }))?.linked).toBe(false);
    expect(parseElfHeader(elf({ machine: 62, type: 2 }))?.linked).toBe(true);
  });

  it('finds no header in a script, in a short file, in a program for FreeBSD', () => {
    expect(parseElfHeader(Buffer.from('#!/bin/sh\n'.padEnd(64)))).toBeUndefined();
    expect(parseElfHeader(elf({ machine: 62 }).subarray(0, 40))).toBeUndefined();
    const freebsd = elf({ machine: 62 });
    freebsd[7] = 9;
    expect(parseElfHeader(freebsd)).toBeUndefined();
  });
});

describe('createMultiarchVote', () => {
  const intel = elf({ machine: 62 });
  const arm = elf({ machine: 183 });
  const object = elf({ machine: 183, type: 1 });

  it.each<[string, string | undefined, [string, Buffer][]]>([
    [
      'the majority',
      'aarch64-linux-gnu',
      [
        ['parts', intel],
        ['parts', arm],
        ['bin', arm],
      ],
    ],
    [
      'what was built here over more files in eggs',
      'x86_64-linux-gnu',
      [
        ['eggs', arm],
        ['eggs', arm],
        ['bin', intel],
      ],
    ],
    [
      'programs over more objects',
      'x86_64-linux-gnu',
      [
        ['parts', object],
        ['parts', object],
        ['eggs', intel],
      ],
    ],
    ['objects when there is nothing else', 'aarch64-linux-gnu', [['parts', object]]],
    ['nothing without programs', undefined, [['bin', Buffer.from('#!/bin/sh')]]],
  ])('prefers %s', (_, expected, files) => {
    const vote = createMultiarchVote();
    for (const [folder, start] of files) vote.add(folder, start);
    expect(vote.result()).toBe(expected);
  });

  const program = readFileSync('/bin/true').subarray(0, ELF_START_SIZE);

  it('prefers what runs here over more firmware for other machines', () => {
    const vote = createMultiarchVote();
    for (const start of [arm, arm, program]) vote.add('parts', start);
    expect(vote.result()).toBe(multiarchOfNode(process.arch));
  });

  it('is clear early only when several programs agree', () => {
    const vote = createMultiarchVote();
    for (const start of [arm, arm, arm, program, program]) vote.add('parts', start);
    expect(vote.early()).toBeUndefined();
    vote.add('bin', program);
    expect(vote.early()).toBe(multiarchOfNode(process.arch));
    const foreign = Buffer.from(program);
    foreign.writeUInt16LE(183, 18);
    vote.add('bin', foreign);
    expect(vote.early()).toBeUndefined();
  });
});
