import { execFileSync } from 'node:child_process';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { craftTar, FOLDER, GOOD, type CraftedMember } from './crafted-tar.ts';
import { expectRefused, faultOf } from './inspection.ts';

function compress(program: string, input: Buffer): Buffer {
  return execFileSync(program, ['-c'], { input });
}

describe('what is no archive', () => {
  it('refuses an empty file', async () => {
    await expectRefused(Buffer.alloc(0), 'invalid-archive', /^the file is empty$/);
  });

  it.each([
    ['a short text', Buffer.from('not found\n'), /a text file/],
    ['a long text', Buffer.from('a line of text, größer\n'.repeat(1000)), /a text file/],
    [
      'bytes without meaning',
      Buffer.from(Array.from({ length: 4000 }, (_, index) => (index * 7919) % 251)),
      /unknown bytes/,
    ],
    ['one byte', Buffer.from([0x1f]), /not an archive/],
    [
      'a web page',
      Buffer.from('<!DOCTYPE html><html><body>404</body></html>'),
      /starts with "<", so a web page was saved/,
    ],
    ['a web page after an empty line', Buffer.from(`\r\n<html>${' '.repeat(2000)}`), /web page/],
    ['a zip', Buffer.from('504b0304140000000800', 'hex'), /a zip file/],
  ])('refuses %s', async (_, bytes, message) => {
    await expectRefused(bytes, 'invalid-archive', message);
  });

  it('refuses a compressed text', async () => {
    await expectRefused(
      gzipSync('text\n'.repeat(1000)),
      'invalid-archive',
      /corrupt: no valid tar header at byte 0/,
    );
    await expectRefused(gzipSync('text\n'), 'invalid-archive', /cut-off tar: it ends inside a header/);
    await expectRefused(gzipSync(''), 'invalid-archive', /cut-off tar/);
  });

  it('refuses an archive in an archive', async () => {
    await expectRefused(gzipSync(gzipSync(craftTar(GOOD))), 'invalid-archive', /tar/);
  });
});

describe('compressions that the nodes do not read', () => {
  it.each([
    ['zstd', 'Zstandard'],
    ['lz4', 'lz4'],
  ])('refuses %s, naming it', async (program, name) => {
    const archive = compress(program, craftTar(GOOD));
    const message = new RegExp(`compressed with ${name}: .*Python's tarfile, which reads gzip, bzip2 and xz`);
    await expectRefused(archive, 'unsupported-archive', message);
  });
});

describe('garbage after the end', () => {
  const garbage = Buffer.from('garbage that follows the archive');

  it.each(['gzip', 'bzip2', 'xz'])('refuses it behind %s data', async (program) => {
    const archive = compress(program, craftTar(GOOD));
    // xz itself can't tell the one from the other.
    const reason =
      program === 'xz' ? 'data is damaged, or something follows its end' : 'garbage follows the end of its';
    for (const rest of [[garbage], [Buffer.alloc(100), garbage], [garbage, Buffer.alloc(1000)]]) {
      const bytes = Buffer.concat([archive, ...rest]);
      await expectRefused(bytes, 'invalid-archive', new RegExp(reason));
      expect((await faultOf(bytes, archive.length)).code).toBe('invalid-archive');
    }
    for (const size of [1, 2, 3, 11]) {
      const fault = await faultOf(Buffer.concat([archive, garbage.subarray(0, size)]));
      expect(fault.code).toBe('invalid-archive');
    }
  });

  it('refuses data behind the tar, which Python leaves out', async () => {
    const tar = craftTar(GOOD);
    const two = Buffer.concat([tar, craftTar([{ name: `${FOLDER}/more` }])]);
    const message = /data follows the end of the tar, which nodes would silently ignore/;
    await expectRefused(two, 'invalid-archive', message);
    await expectRefused(gzipSync(two), 'invalid-archive', message);
    await expectRefused(Buffer.concat([tar, garbage]), 'invalid-archive', message);
  });
});

describe('top-level folders', () => {
  it('refuses an archive without members', async () => {
    await expectRefused(craftTar([]), 'invalid-archive', /the tar has no members/);
    await expectRefused(Buffer.alloc(100_000), 'invalid-archive', /the tar has no members/);
  });

  it('refuses several, naming a few', async () => {
    const two = craftTar([...GOOD, { name: 'other/file' }]);
    await expectRefused(
      two,
      'invalid-archive',
      new RegExp(`^2 top-level members \\("${FOLDER}", "other"\\); one folder named by`),
    );
    const seven = craftTar(['a', 'b', 'c', 'd', 'e', 'f', 'g'].map((name) => ({ name, type: '5' })));
    await expectRefused(seven, 'invalid-archive', /^7 top-level members \("a", "b", "c", "d", …\)/);
    const many = craftTar(Array.from({ length: 50 }, (_, index) => ({ name: `${index}/x` })));
    await expectRefused(many, 'invalid-archive', /^more than 20 top-level members/);
  });

  it.each<[string, CraftedMember, string]>([
    ['a file', { name: 'README', text: 'x' }, 'a file'],
    ['a symbolic link', { name: 'current', type: '2', target: FOLDER }, 'a symbolic link'],
    ['a named pipe', { name: 'pipe', type: '6' }, 'a named pipe'],
  ])('refuses %s in the place of the folder, and beside it', async (_, member, what) => {
    const alone = new RegExp(`^its top-level member "${member.name}" is ${what}, not a folder; one folder`);
    await expectRefused(craftTar([member]), 'invalid-archive', alone);
    const beside = new RegExp(
      `"${member.name}" is ${what}, not a folder beside the folder "${FOLDER}"; one folder`,
    );
    await expectRefused(craftTar([...GOOD, member]), 'invalid-archive', beside);
    await expectRefused(craftTar([member, ...GOOD]), 'invalid-archive', beside);
  });
});

describe('members that lead out of the folder', () => {
  const long = 'long/'.repeat(60);

  it.each<[string, CraftedMember, RegExp]>([
    ['an absolute name', { name: '/etc/passwd' }, /member "\/etc\/passwd" has an absolute path/],
    ['an absolute long name', { name: `/${long}x` }, /has an absolute path/],
    ['".." in front', { name: '../x' }, /member "\.\.\/x" leads out with "\.\."/],
    ['".." inside', { name: `${FOLDER}/a/../../x` }, /leads out with "\.\."/],
    ['".." at the end', { name: `${FOLDER}/..`, type: '5' }, /leads out with "\.\."/],
    ['".." at the end of a long name', { name: `${FOLDER}/${long}..`, type: '5' }, /leads out with "\.\."/],
    ['".." behind a line feed', { name: `${FOLDER}/\n/../..` }, /leads out with "\.\."/],
    [
      'a hard link to an absolute name',
      { name: `${FOLDER}/x`, type: '1', target: '/etc/shadow' },
      /hard link .*target "\/etc\/shadow" has an absolute path/,
    ],
    [
      'a hard link through ".."',
      { name: `${FOLDER}/x`, type: '1', target: `${FOLDER}/../y` },
      /hard link .* leads out with "\.\."/,
    ],
    [
      'a long hard link through ".."',
      { name: `${FOLDER}/x`, type: '1', target: `${FOLDER}/${long}../y` },
      /hard link .* leads out with "\.\."/,
    ],
    [
      'a hard link to another folder',
      { name: `${FOLDER}/x`, type: '1', target: 'other/y' },
      /hard link .* leads out of its folder, to "other\/y"/,
    ],
    [
      'a hard link to the folder',
      { name: `${FOLDER}/x`, type: '1', target: FOLDER },
      /leads out of its folder/,
    ],
    ['a device', { name: `${FOLDER}/sda`, type: '4' }, /member .*sda" is a device file/],
  ])('refuses %s', async (_, member, message) => {
    for (const format of ['PAX_FORMAT', 'GNU_FORMAT'] as const) {
      await expectRefused(craftTar([...GOOD, member], format), 'invalid-archive', message);
    }
    await expectRefused(gzipSync(craftTar([member, ...GOOD])), 'invalid-archive', message);
  });

  it('refuses a member, or a hard link, behind a symbolic link of the archive', async () => {
    const link = { name: `${FOLDER}/out`, type: '2', target: '/etc' };
    const message = /lies behind the symbolic link ".*\/out"/;
    await expectRefused(craftTar([link, { name: `${FOLDER}/out/cron.d/x` }]), 'invalid-archive', message);
    const hard = { name: `${FOLDER}/x`, type: '1', target: `${FOLDER}/out/shadow` };
    await expectRefused(craftTar([link, hard]), 'invalid-archive', message);
  });

  it('refuses a name that only the prefix field makes dangerous', async () => {
    const tar = craftTar(GOOD, 'GNU_FORMAT');
    const block = tar.subarray(512, 1024);
    // GNU's own format has no prefix, but Python's tarfile reads one all the same.
    block.write('../..', 345);
    writeChecksum(block);
    await expectRefused(tar, 'invalid-archive', /leads out with "\.\."/);
  });
});

describe('names that cannot be unpacked', () => {
  it('refuses an empty name and a NUL', async () => {
    const empty = craftTar(GOOD, 'GNU_FORMAT');
    empty.fill(0, 512, 612);
    writeChecksum(empty.subarray(512, 1024));
    await expectRefused(empty, 'invalid-archive', /its name is empty or holds a NUL/);
    const nul = craftTar([...GOOD, { name: `${FOLDER}/${'ä'.repeat(80)}@x`, text: 'x' }]);
    nul[nul.indexOf('@x')] = 0;
    await expectRefused(nul, 'invalid-archive', /its name is empty or holds a NUL/);
  });

  it('refuses a file whose name ends like that of a folder', async () => {
    await expectRefused(
      craftTar([...GOOD, { name: `${FOLDER}/x/`, type: '7', text: 'x' }], 'GNU_FORMAT'),
      'invalid-archive',
      /its name is that of a folder/,
    );
    await expectRefused(
      craftTar([...GOOD, { name: `${FOLDER}/x/`, text: 'x' }], 'GNU_FORMAT'),
      'invalid-archive',
      /corrupt/,
    );
  });

  it('refuses a link with an empty target', async () => {
    await expectRefused(
      craftTar([...GOOD, { name: `${FOLDER}/x`, type: '2' }]),
      'invalid-archive',
      /target is empty/,
    );
    await expectRefused(
      craftTar([...GOOD, { name: `${FOLDER}/x`, type: '1' }]),
      'invalid-archive',
      /hard link .* is empty/,
    );
  });
});

describe('tars that readers understand differently', () => {
  it('refuses sparse files, naming them', async () => {
    for (const format of ['gnu', 'pax']) {
      const script =
        'd=$(mktemp -d) && trap "rm -r $d" EXIT && cd "$d" && mkdir a && truncate -s 1M a/holes && printf x >>a/holes && tar --format="$1" -Scf - a';
      const tar = execFileSync('sh', ['-c', script, 'sh', format]);
      await expectRefused(
        tar,
        'unsupported-archive',
        /is a sparse file, .* pack it again with plain "tar -czf"/,
      );
    }
  });

  it('refuses a volume label', async () => {
    const tar = execFileSync('sh', [
      '-c',
      'd=$(mktemp -d) && trap "rm -r $d" EXIT && cd "$d" && mkdir a && tar -V label -cf - a',
    ]);
    await expectRefused(tar, 'unsupported-archive', /member "label" is of the unusual kind "V"/);
  });

  it('refuses content behind a link', async () => {
    const tar = craftTar(
      [...GOOD, { name: `${FOLDER}/x`, type: '1', target: `${FOLDER}/buildout.cfg` }],
      'GNU_FORMAT',
    );
    const block = tar.subarray(1536, 2048);
    block.write('00000001000', 124);
    writeChecksum(block);
    await expectRefused(tar, 'invalid-archive', /is no file but has content/);
  });

  it.each([
    ['mode', 100, '0000x44\0'],
    ['owner', 108, 'abcdefg\0'],
    ['size', 124, '1x\0'],
    ['time', 136, '1234567890z\0'],
    ['device', 329, '8'],
  ])('refuses a %s that is no number, which Python takes for the end', async (_, position, text) => {
    const tar = craftTar([...GOOD, { name: `${FOLDER}/last` }]);
    const header = tar.subarray(tar.indexOf(`${FOLDER}/last`)).subarray(0, 512);
    header.write(text, position, 'latin1');
    header.fill(' ', 148, 156);
    header.write(`${header.reduce((sum, byte) => sum + byte).toString(8)}\0`, 148);
    await expectRefused(tar, 'invalid-archive', /corrupt: no valid tar header at byte \d+/);
  });

  it('refuses a name or a size for all members', async () => {
    const header = craftTar([{ name: 'g', type: 'g', text: '10 path=x\n' }], 'USTAR_FORMAT').subarray(
      0,
      1024,
    );
    await expectRefused(Buffer.concat([header, craftTar(GOOD)]), 'invalid-archive', /extended tar header/);
  });

  it.each(['x', '10 path=x', '99 path=x\n', '0 path=x\n', '5 p\n', '13 size=-10\n', '12 size=1x\n'])(
    'refuses the extended header %j',
    async (text) => {
      const header = craftTar([{ name: 'x', type: 'x', text }], 'USTAR_FORMAT').subarray(0, 1024);
      await expectRefused(
        Buffer.concat([header, craftTar(GOOD)]),
        'invalid-archive',
        /an extended tar header holds no valid records/,
      );
    },
  );

  it('refuses an extended header with nothing behind it, or too long a one', async () => {
    await expectRefused(
      craftTar([...GOOD, { name: 'x', type: 'x', text: '10 path=x\n' }]),
      'invalid-archive',
      /no valid tar header/,
    );
    await expectRefused(
      craftTar([...GOOD, { name: 'x', type: 'L', text: 'x'.repeat(2_000_000) }]),
      'invalid-archive',
      /^the extended header at byte 1536 of the unpacked tar has 2000000 bytes, more than the limit of 4096/,
    );
  });
});

/** Puts right the checksum of a header block that was changed. */
function writeChecksum(block: Buffer): void {
  block.write('        ', 148);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
}
