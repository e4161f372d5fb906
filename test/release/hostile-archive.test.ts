import { execFileSync } from 'node:child_process';
import { crc32, gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { createMemberRules } from '../../src/release/member-rules.ts';
import { craftTar, FOLDER, GOOD } from './crafted-tar.ts';
import { expectRefused, faultOf, inspect } from './inspection.ts';
import { paxRecord, rawExtension, rawFile, rawHeader, TAR_END, toBlocks } from './raw-tar.ts';

/** Each of these took minutes, or gigabytes, before there were limits: the time limit of the test is what ends it then. */

const MIB = 1024 * 1024;

function tarOf(...members: Buffer[]): Buffer {
  return Buffer.concat([...members, TAR_END]);
}

describe('a buildout.cfg', () => {
  it.each([
    ['of a million blanks in a line', `a${' '.repeat(1_000_000)}b`],
    ['of comments in a line', `a${' #'.repeat(500_000)}`],
    ['of brackets', '['.repeat(1_000_000)],
  ])('%s does not hold up', async (_, text) => {
    const archive = gzipSync(tarOf(rawFile(`${FOLDER}/buildout.cfg`, text)));
    expect(await inspect(archive)).toMatchObject({ softwareUrl: undefined });
  });

  it('may extend many', async () => {
    const text = `[buildout]\nextends = ${'a.cfg '.repeat(170_000)}`;
    expect(await inspect(gzipSync(tarOf(rawFile(`${FOLDER}/buildout.cfg`, text))))).toMatchObject({
      softwareUrl: 'a.cfg',
    });
  });
});

describe('names', () => {
  it.each([20_000, 500_000])('refuses a path of %d components', async (count) => {
    const path = 'a/'.repeat(count) + 'b';
    const tar = tarOf(rawExtension('x', paxRecord('path', path)), rawFile('short', ''));
    await expectRefused(
      gzipSync(tar),
      'invalid-archive',
      /^member "a\/.*" can't be unpacked: its path has \d+ bytes, the limit of Linux is 4095$/,
    );
  });

  it('refuses targets that are too long', async () => {
    const long = `${FOLDER}/${'t'.repeat(5000)}`;
    const records = rawExtension('x', paxRecord('linkpath', long));
    for (const [type, kind] of [
      ['2', 'symbolic link'],
      ['1', 'hard link'],
    ] as const) {
      const tar = tarOf(records, rawHeader({ name: `${FOLDER}/link`, type }));
      await expectRefused(
        tar,
        'invalid-archive',
        new RegExp(`^${kind} "${FOLDER}/link": target .* 5033 bytes, the limit of Linux is 4095`),
      );
    }
  });

  it('takes a path as long as Linux does, and counts its bytes', async () => {
    const folders = `${FOLDER}/${'é'.repeat(50)}/`.padEnd(4000, 'x/');
    const path = folders.padEnd(4095 - 50, 'y');
    expect(Buffer.byteLength(path)).toBe(4095);
    const tar = (name: string) => tarOf(rawExtension('x', paxRecord('path', name)), rawFile('short', ''));
    expect((await inspect(tar(path))).members).toBe(1);
    expect((await faultOf(tar(`${path}z`))).message).toMatch(/4096 bytes, the limit of Linux is 4095/);
    const bytes = Buffer.concat([Buffer.from(`${FOLDER}/`), Buffer.alloc(2000, 0xff)]);
    const long = Buffer.concat([rawHeader({ name: 'x', type: 'L', size: bytes.length }), toBlocks(bytes)]);
    expect((await inspect(tarOf(long, rawFile('short', '')))).members).toBe(1);
  });

  it('refuses long names of 1 MiB', async () => {
    const name = rawExtension('L', 'n'.repeat(MIB));
    await expectRefused(
      gzipSync(tarOf(...Array.from({ length: 200 }, () => [name, rawFile('short', '')]).flat())),
      'invalid-archive',
      /^the extended header at byte 0 of the unpacked tar has 1048576 bytes, more than the limit of 4096/,
    );
  });

  it('refuses headers of attributes that are too long, or too many', async () => {
    const attributes = rawExtension('x', paxRecord('comment', 'x'.repeat(MIB)));
    await expectRefused(
      tarOf(attributes),
      'invalid-archive',
      /has 10485\d\d bytes, more than the limit of 1048576/,
    );
    const row = Array.from({ length: 17 }, () => rawExtension('x', paxRecord('comment', 'x')));
    await expectRefused(
      tarOf(...row, rawFile(`${FOLDER}/a`, '')),
      'invalid-archive',
      /^more than 16 extended headers for one member, at byte \d+/,
    );
  });

  it('refuses a tar whose paths are longer altogether than those of any release', async () => {
    const members = Array.from({ length: 100 }, (_, index) => [
      rawExtension('x', paxRecord('path', `${FOLDER}/${index}/${'a/'.repeat(2000)}`)),
      rawHeader({ name: 'short', type: '5' }),
    ]);
    await expectRefused(
      gzipSync(tarOf(...members.flat())),
      'invalid-archive',
      /^the paths of its members exceed 256 MiB; the largest releases have a quarter of that$/,
    );
  });
});

it('a program whose headers take no room does not hold up', async () => {
  const program = Buffer.alloc(1024);
  program.write('\x7fELF\x02\x01\x01', 'latin1');
  program.writeUInt16LE(3, 16);
  program.writeUInt16LE(62, 18);
  program.writeUInt32LE(64, 0x20);
  program.writeUInt16LE(0xffff, 0x38);
  const members = Array.from({ length: 100_000 }, (_, index) => rawFile(`${FOLDER}/bin/${index}`, program));
  expect((await inspect(gzipSync(tarOf(...members)))).multiarch).toBe('x86_64-linux-gnu');
});

describe('compressed data', () => {
  const dense = /^it unpacks to more than 268435456 bytes, over 100 times its size; .* as a plain tar$/;

  it.each(['bzip2', 'xz', 'gzip'])('refuses a %s that stands for 2 GiB', async (program) => {
    const stream = execFileSync(program, ['-c'], { input: Buffer.alloc(64 * MIB) });
    await expectRefused(Buffer.alloc(32 * stream.length, stream), 'invalid-archive', dense);
  });

  it('refuses an xz whose dictionary takes 1.5 GiB, and takes the largest that xz makes', async () => {
    const xz = execFileSync('xz', ['-9', '-c'], { input: craftTar(GOOD) });
    expect((await inspect(xz)).members).toBe(2);
    // The header of the first block: its size, flags, and the filter LZMA2 with one byte of properties.
    expect([...xz.subarray(12, 16)]).toEqual([2, 0, 0x21, 1]);
    xz[16] = 37;
    xz.writeUInt32LE(crc32(xz.subarray(12, 20)), 20);
    await expectRefused(
      xz,
      'unsupported-archive',
      /^its xz data needs more than 256 MiB of memory; compress it again with xz -9 or lower$/,
    );
  });

  it('refuses gzip members with zeros between them', async () => {
    const member = Buffer.concat([gzipSync(''), Buffer.alloc(1)]);
    await expectRefused(
      Buffer.alloc(20 * MIB, member),
      'invalid-archive',
      /^zeros stand between its gzip members in more than 1000 places/,
    );
  });

  it('takes a file of zeros in a release of some size', async () => {
    const tar = tarOf(rawFile(`${FOLDER}/image`, Buffer.alloc(200 * MIB)));
    expect((await inspect(gzipSync(tar))).unpackedSize).toBe(200 * MIB);
    expect((await inspect(craftTar(GOOD))).members).toBe(2);
  });
});

describe('a sparse file is named', () => {
  const named = new RegExp(`^member "${FOLDER}/sparse" is a sparse file`);

  it.each(['gnu', 'pax'])('of the %s format, as GNU tar writes it', async (format) => {
    const script = `
      set -e; cd "$(mktemp -d)"; mkdir ${FOLDER}; truncate -s 1M ${FOLDER}/sparse; echo end >> ${FOLDER}/sparse
      tar --create --sparse --format=${format} --file=- ${FOLDER}; rm -r "$PWD"`;
    await expectRefused(execFileSync('bash', ['-c', script]), 'unsupported-archive', named);
  });

  it.each([
    ['0.0', [paxRecord('GNU.sparse.size', '5'), paxRecord('GNU.sparse.numblocks', '0')]],
    ['0.1', [paxRecord('GNU.sparse.map', '0,5'), paxRecord('GNU.sparse.name', `${FOLDER}/sparse`)]],
    ['with its path behind', [paxRecord('GNU.sparse.major', '1'), paxRecord('path', `${FOLDER}/sparse`)]],
  ])('of version %s', async (_, records) => {
    const tar = tarOf(rawExtension('x', records.join('')), rawFile(`${FOLDER}/sparse`, ''));
    await expectRefused(tar, 'unsupported-archive', named);
  });

  it('of the old format, which has times where others have the first part of the path', async () => {
    const header = rawHeader({ name: `${FOLDER}/sparse`, type: 'S', prefix: '14000000000' });
    await expectRefused(tarOf(header), 'unsupported-archive', named);
  });
});

it('an extended header that is cut off is no member', async () => {
  const header = rawHeader({ name: 'PaxHeaders/a', type: 'x', size: 100 });
  await expectRefused(header, 'invalid-archive', /^cut-off tar: it ends inside an extended header;/);
});

it('more members than any release has are refused', () => {
  const rules = createMemberRules();
  const fill = (): void => {
    for (let index = 0; index <= 2_000_000; index++)
      rules.check({ kind: 'file', path: `${FOLDER}/${index}`, linkTarget: '', size: 0 });
  };
  expect(fill).toThrow(
    /^more than 2000000 members and folders; the largest releases have a quarter of that$/,
  );
});
