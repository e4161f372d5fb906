import { crc32, deflateRawSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { FOLDER } from './crafted-tar.ts';
import { expectRefused, inspect } from './inspection.ts';
import { paxRecord, rawExtension, rawFile, rawHeader, TAR_END, toBlocks } from './raw-tar.ts';

/** Nodes unpack as root with Python's tarfile, which follows whatever stands there already. */

const GOOD = Buffer.concat([
  rawHeader({ name: FOLDER, type: '5' }),
  rawFile(`${FOLDER}/buildout.cfg`, '[buildout]\n'),
  rawFile(`${FOLDER}/file`, 'x'),
]);
/** Outside, were it ever read as a member. */
const EVIL = rawFile('/etc/cron.d/evil', '* * * * * root evil\n');
const SYMLINK = rawHeader({ name: `${FOLDER}/link`, type: '2', target: '/etc' });

const tar = (...blocks: readonly Buffer[]): Buffer => Buffer.concat([GOOD, ...blocks, TAR_END]);
const asLink = rawHeader({ name: `${FOLDER}/hard`, type: '1', target: `${FOLDER}/link` });

async function refuses(message: RegExp, ...blocks: readonly Buffer[]): Promise<void> {
  await expectRefused(tar(...blocks), 'invalid-archive', message);
}

it('takes the archive that the wrong ones are made of', async () => {
  expect((await inspect(tar(SYMLINK))).members).toBe(4);
});

describe('a name that comes twice', () => {
  it.each([
    ['a file', rawFile(`${FOLDER}/link`, 'x')],
    ['a file, written otherwise', rawFile(`./${FOLDER}//link`, 'x')],
    ['a folder', rawHeader({ name: `${FOLDER}/link/`, type: '5' })],
    ['a hard link', rawHeader({ name: `${FOLDER}/link`, type: '1', target: `${FOLDER}/file` })],
    ['a named pipe', rawHeader({ name: `${FOLDER}/link`, type: '6' })],
    ['another symbolic link', SYMLINK],
  ])('after a symbolic link is refused for %s: it would go through the link', async (_, member) => {
    await refuses(/link\/?" comes twice, first as a symbolic link/, SYMLINK, member);
  });

  it('after a hard link is refused: its other name would be written, too', async () => {
    const hard = rawHeader({ name: `${FOLDER}/hard`, type: '1', target: `${FOLDER}/file` });
    await refuses(/hard" comes twice, first as a hard link/, hard, rawFile(`${FOLDER}/hard`, 'x'));
  });

  it('is refused for a file and a folder, which no file system holds', async () => {
    const folder = rawHeader({ name: `${FOLDER}/file`, type: '5' });
    await refuses(/file" comes twice, first as a file/, folder);
    await refuses(/below" lies in ".*\/file", which is a file/, rawFile(`${FOLDER}/file/below`, ''));
    const implied = rawFile(`${FOLDER}/implied/below`, '');
    await refuses(/implied" comes twice, first as a folder/, implied, rawFile(`${FOLDER}/implied`, ''));
  });

  it('is no matter for a folder', async () => {
    const folder = rawHeader({ name: `${FOLDER}/d/`, type: '5' });
    expect((await inspect(tar(rawFile(`${FOLDER}/d/x`, ''), folder, folder))).members).toBe(6);
  });

  it('is only one if the bytes are equal, UTF-8 or not', async () => {
    const name = (last: number): Buffer => Buffer.from([...Buffer.from(`${FOLDER}/`), last]);
    const files = [0xe8, 0xe9].map((last) => rawHeader({ name: name(last) }));
    expect((await inspect(tar(...files))).members).toBe(5);
    await refuses(/comes twice/, ...files, rawHeader({ name: name(0xe8) }));
    const link = rawHeader({ name: name(0xea), type: '2', target: 'x' });
    const below = Buffer.concat([name(0xeb), Buffer.from('/x')]);
    expect((await inspect(tar(link, rawHeader({ name: below })))).members).toBe(5);
  });
});

describe('a hard link', () => {
  it('of a symbolic link is refused: what that leads to would get owner and mode', async () => {
    await refuses(
      /hard link ".*\/hard" is another name of the symbolic link ".*\/link".*cache pack/,
      SYMLINK,
      asLink,
    );
  });

  it('of nothing, or of a folder, is refused', async () => {
    const of = (target: string): Buffer => rawHeader({ name: `${FOLDER}/hard`, type: '1', target });
    await refuses(
      /hard link .* is another name of ".*\/none", which does not come before it/,
      of(`${FOLDER}/none`),
    );
    await refuses(
      /hard link .* is another name of ".*\/d", which is a folder/,
      rawHeader({ name: `${FOLDER}/d`, type: '5' }),
      of(`${FOLDER}/d`),
    );
  });

  it('of a hard link is taken', async () => {
    const first = rawHeader({ name: `${FOLDER}/1`, type: '1', target: `${FOLDER}/file` });
    const second = rawHeader({ name: `${FOLDER}/2`, type: '1', target: `${FOLDER}/1` });
    expect((await inspect(tar(first, second))).members).toBe(5);
  });
});

it('refuses the software root itself as a member: it would get its owner and mode', async () => {
  for (const name of ['.', './', './/.']) {
    await refuses(/the software root .* tar -C ROOT -czf/, rawHeader({ name, type: '5', mode: '0000700\0' }));
  }
});

describe('what Python reads where others do not', () => {
  const header = rawHeader({ name: `${FOLDER}/ok` });

  it.each([
    ['pax records', rawExtension('x', paxRecord('comment', 'x'), paxRecord('path', '/etc/x'))],
    ['pax records for all', rawExtension('g', paxRecord('comment', 'x'), paxRecord('path', '/etc/x'))],
    ['a long name', rawExtension('L', `${FOLDER}/ok`, '/../../etc/x')],
    ['a long target', rawExtension('K', 'x', '/../../etc')],
  ])('is refused: %s in the padding', async (_, extension) => {
    await refuses(/no valid tar header/, extension, header);
  });

  it('is refused: a tar that is gzip data, too', async () => {
    const hidden = Buffer.concat([EVIL, TAR_END]);
    const trailer = Buffer.alloc(8);
    trailer.writeUInt32LE(crc32(hidden), 0);
    trailer.writeUInt32LE(hidden.length, 4);
    const content = toBlocks(Buffer.concat([deflateRawSync(hidden), trailer]));
    // The header of the gzip data has a field of 500 bytes, which is the rest of the block.
    const name = Buffer.from([0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 0xff, 0xf4, 0x01]);
    const polyglot = rawHeader({ name, prefix: FOLDER, size: content.length });
    await expectRefused(
      Buffer.concat([polyglot, content, GOOD, TAR_END]),
      'invalid-archive',
      /a tar and gzip data in one/,
    );
  });

  it.each([
    ['bzip2', 'BZh91AY&SY'],
    ['xz', Buffer.from('fd377a585a00', 'hex')],
    ['Zstandard', Buffer.from('28b52ffd', 'hex')],
    ['Zstandard', Buffer.from('502a4d18', 'hex')],
    ['LZMA', Buffer.from('5d00008000ffffffffffffffff', 'hex')],
    ['LZMA', Buffer.from('5d00008000001000', 'hex')],
  ])('is refused: a tar that begins as %s data (%s)', async (what, name) => {
    const member = rawHeader({ name, prefix: FOLDER });
    await expectRefused(
      Buffer.concat([member, GOOD, TAR_END]),
      'invalid-archive',
      new RegExp(`a tar and ${what} data in one`),
    );
  });

  it('is refused: an old header that is a file by one name and a folder by another', async () => {
    const content = toBlocks(EVIL);
    const size = content.length;
    for (const extension of [
      rawExtension('x', paxRecord('path', `${FOLDER}/ok`)),
      rawExtension('L', `${FOLDER}/ok\0`),
    ]) {
      await refuses(/no valid tar header/, extension, rawHeader({ name: 'q/', type: '\0', size }), content);
    }
    const slash = rawExtension('x', paxRecord('path', `${FOLDER}/ok/`));
    await refuses(/no valid tar header/, slash, rawHeader({ name: 'q', type: '\0', size }), content);
    const name = Buffer.from(`${FOLDER}/y\0\n`.padEnd(100, '/'));
    await refuses(/no valid tar header/, rawHeader({ name, type: '\0', size }), content);
  });
});

describe('what Python takes for the end, without a word', () => {
  const after = rawFile(`${FOLDER}/after`, 'x');

  it('is refused: a record without a keyword', async () => {
    await refuses(/no valid records/, rawExtension('x', `5 =a\n${paxRecord('path', `${FOLDER}/ok`)}`), EVIL);
  });

  it.each(['nan', 'inf', '1e9', '', '9'.repeat(30)])('is refused: the time %j', async (value) => {
    await refuses(/no valid records/, rawExtension('x', paxRecord('mtime', value)), after);
  });

  it('is not: times as programs write them', async () => {
    for (const value of ['1700000000', '1700000000.123456789', '0', '-1.5']) {
      const time = rawExtension('x', paxRecord('mtime', value));
      expect((await inspect(tar(time, after))).members).toBe(4);
    }
  });

  it('is refused: a number with a blank that is none', async () => {
    const mode = Buffer.from([...Buffer.from('000644'), 0xa0, 0]);
    await refuses(/no valid tar header/, rawHeader({ name: `${FOLDER}/x`, mode }), after);
  });

  it('is refused: a checksum that goes on in the type flag', async () => {
    let found = 0;
    for (let length = 1; length < 60; length++) {
      const name = `${FOLDER}/${'n'.repeat(length)}`;
      // The last digit of the sum is the flag of a folder.
      const checksum = (sum: number): string => {
        found += Number(sum % 8 === 5);
        return Math.floor(sum / 8)
          .toString(8)
          .padStart(8, ' ');
      };
      const block = rawHeader({ name, type: '5', mode: '  00755\0', checksum });
      if (found === 0) continue;
      await refuses(/no valid tar header/, block, after);
      break;
    }
    expect(found).toBe(1);
  });

  it('is refused: a time before 1970, which ends the archive for Python 2.7', async () => {
    const old = rawFile(`${FOLDER}/old`, '', { time: Buffer.alloc(12, 0xff) });
    await refuses(/member ".*\/old" is dated before 1970.*touch/, old, after);
  });

  it('is refused: an owner whom no system can have', async () => {
    const owner = Buffer.from([0x80, 0, 0, 0x10, 0, 0, 0, 0]);
    await refuses(/no valid tar header/, rawFile(`${FOLDER}/x`, '', { owner }), after);
    const good = Buffer.from([0x80, 0, 0, 0, 0, 0x20, 0, 0]);
    expect((await inspect(tar(rawFile(`${FOLDER}/x`, '', { owner: good }), after))).members).toBe(5);
  });

  it('is refused: an extended header with nothing behind it', async () => {
    await refuses(/no valid tar header/, rawExtension('g', paxRecord('comment', 'x')));
    await refuses(/no valid tar header/, rawExtension('x', paxRecord('comment', 'x')));
  });
});
