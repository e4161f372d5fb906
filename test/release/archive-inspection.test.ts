import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { readFile, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { multiarchOfNode } from '../../src/cache/platform.ts';
import {
  LONG_PATH,
  LONGEST_PATH,
  makeSoftwareRelease,
  NON_ASCII_PATH,
  packRelease,
  type PackOptions,
} from '../fixtures/software-release.ts';
import { craftTar, FOLDER, GOOD } from './crafted-tar.ts';
import { faultOf, inspect, namesByPython } from './inspection.ts';

const URL = 'https://lab.example.com/slapos/raw/1.0.344/software/rapid-cdn/software.cfg';
const COMPRESSIONS = ['none', 'gzip', 'bzip2', 'xz'] as const;
const PACKERS = ['gnu', 'python'] as const;

let root: string;
let folder: string;

beforeAll(async () => {
  root = mkdtempSync(join(tmpdir(), 'release-'));
  folder = await makeSoftwareRelease(root, URL, { payload: 300_000 });
});

afterAll(() => {
  rmSync(root, { recursive: true });
});

async function pack(options: PackOptions): Promise<string> {
  const file = join(root, `${options.packer ?? 'gnu'}-${options.compression ?? 'gzip'}`);
  await packRelease(folder, file, options);
  return file;
}

describe.each(PACKERS)('an archive packed by %s', (packer) => {
  it.each(COMPRESSIONS)('is read in full with compression %s', async (compression) => {
    const file = await pack({ packer, compression });
    const contents = await inspect(await readFile(file));
    const names = await namesByPython(file);
    const inside = [LONG_PATH, LONGEST_PATH, NON_ASCII_PATH].map((path) => `${basename(folder)}/${path}`);
    expect(names).toEqual(expect.arrayContaining(inside));
    expect(contents).toEqual({
      compression,
      folder: basename(folder),
      softwareUrl: URL,
      multiarch: multiarchOfNode(process.arch),
      members: names.length,
      unpackedSize:
        Number(
          execFileSync('sh', ['-c', `find "$1" -type f -links 1 -exec cat {} + | wc -c`, 'sh', folder]),
        ) + (await stat('/bin/true')).size,
      markers: { completed: true, shared: false },
    });
  });

  it.each([1, 7, 511, 512, 513, 4099])('is read alike in chunks of %d bytes', async (chunkSize) => {
    const archive = await readFile(await pack({ packer, compression: 'none' }));
    expect(await inspect(archive, chunkSize)).toEqual(await inspect(archive));
  });
});

it('reads bzip2 and xz alike in small chunks', async () => {
  for (const compression of ['bzip2', 'xz'] as const) {
    const archive = await readFile(await pack({ compression }));
    expect(await inspect(archive, 1000)).toEqual(await inspect(archive));
  }
});

describe('what it tells of a release', () => {
  it('tells the markers', async () => {
    const other = await makeSoftwareRelease(root, `${URL}?marks`, { completed: false, shared: true });
    await packRelease(other, join(root, 'marks'));
    const { markers } = await inspect(await readFile(join(root, 'marks')));
    expect(markers).toEqual({ completed: false, shared: true });
  });

  it('tells no URL and no machine where none is inside', async () => {
    const other = await makeSoftwareRelease(root, `${URL}?bare`, { buildoutCfg: null, program: null });
    await packRelease(other, join(root, 'bare'));
    const { softwareUrl, multiarch } = await inspect(await readFile(join(root, 'bare')));
    expect([softwareUrl, multiarch]).toEqual([undefined, undefined]);
  });

  it('takes the URL that the folder is named by, of several', async () => {
    const buildoutCfg = `[buildout]\nextends =\n  https://lab.example.com/profile.cfg\n  ${URL}?several\n`;
    const other = await makeSoftwareRelease(root, `${URL}?several`, { buildoutCfg });
    await packRelease(other, join(root, 'several'));
    expect((await inspect(await readFile(join(root, 'several')))).softwareUrl).toBe(`${URL}?several`);
  });

  it('takes the first URL when the folder is named by none', async () => {
    const text =
      '[buildout]\nextends =\n  ${:x} https://a.example.com/a.cfg\n  https://b.example.com/b.cfg\n';
    const tar = craftTar([{ name: `${FOLDER}/buildout.cfg`, text }]);
    expect((await inspect(tar)).softwareUrl).toBe('https://a.example.com/a.cfg');
  });

  it('reads only the start of a huge buildout.cfg', async () => {
    const text = `[buildout]\nextends = ${URL}\n${'# much\n'.repeat(400_000)}\nextends = no.cfg\n`;
    expect((await inspect(craftTar([{ name: `${FOLDER}/buildout.cfg`, text }]))).softwareUrl).toBe(URL);
  });

  it('takes markers and buildout.cfg only from the top of the folder', async () => {
    const tar = craftTar([
      ...GOOD,
      { name: `${FOLDER}/parts/.shared` },
      { name: `${FOLDER}/parts/buildout.cfg`, text: `[buildout]\nextends = ${URL}\n` },
    ]);
    const { softwareUrl, markers } = await inspect(tar);
    expect([softwareUrl, markers]).toEqual([undefined, { completed: false, shared: false }]);
  });
});

describe('harmless oddities', () => {
  it('reads an archive made by "tar -C ROOT ./FOLDER"', async () => {
    const parent = mkdtempSync(join(root, 'dot-'));
    const inner = await makeSoftwareRelease(parent, URL);
    execFileSync('tar', ['-C', parent, '-czf', join(root, 'dot.tar.gz'), `./${basename(inner)}`]);
    expect((await inspect(await readFile(join(root, 'dot.tar.gz')))).folder).toBe(basename(inner));
  });

  it('reads several gzip members, with zeros between and behind, as Python does', async () => {
    const tar = await readFile(await pack({ compression: 'none' }));
    const file = join(root, 'members.tar.gz');
    const parts = [tar.subarray(0, 100_001), tar.subarray(100_001, 100_001), tar.subarray(100_001)].map(
      (part) => gzipSync(part),
    );
    await writeFile(file, Buffer.concat(parts.flatMap((part) => [part, Buffer.alloc(1000)])));
    const archive = await readFile(file);
    const { members } = await inspect(tar);
    expect((await namesByPython(file)).length).toBe(members);
    for (const chunkSize of [50, 512, 513, 1_000_000]) {
      expect((await inspect(archive, chunkSize)).members).toBe(members);
    }
    // Borders of chunks right behind a member.
    const joined = Buffer.concat(parts);
    expect((await inspect(joined, parts[0]?.length)).members).toBe(members);
  });

  it.each(COMPRESSIONS)(
    'reads an archive padded with zeros, compression %s, as Python does',
    async (compression) => {
      const archive = await readFile(await pack({ compression }));
      const { members } = await inspect(archive);
      for (const size of [1, 3, 4, 511, 100_000]) {
        const padded = Buffer.concat([archive, Buffer.alloc(size)]);
        expect((await inspect(padded)).members).toBe(members);
        expect((await inspect(padded, 1000)).members).toBe(members);
        await writeFile(join(root, 'padded'), padded);
        expect((await namesByPython(join(root, 'padded'))).length).toBe(members);
      }
    },
  );

  it('reads bzip2 and xz of several streams', async () => {
    const tar = await readFile(await pack({ compression: 'none' }));
    for (const program of ['bzip2', 'xz']) {
      const parts = [tar.subarray(0, 100_000), tar.subarray(100_000)];
      const archive = Buffer.concat(
        parts.map((input) => execFileSync(program, ['-c'], { input, maxBuffer: 1e8 })),
      );
      expect((await inspect(archive)).members).toBe((await inspect(tar)).members);
    }
  });

  it('reads names that a reader by lines or by chunks breaks: line feeds, "=", characters of several bytes', async () => {
    const names = ['a\nb', 'a=b', '19 path=x', '日本'.repeat(70)].map((name) => `${FOLDER}/${name}`);
    for (const format of ['PAX_FORMAT', 'GNU_FORMAT'] as const) {
      const tar = craftTar(
        names.map((name) => ({ name, text: 'x' })),
        format,
      );
      for (const chunkSize of [1, 3, 64 * 1024]) {
        expect(await inspect(tar, chunkSize)).toMatchObject({ folder: FOLDER, members: 4, unpackedSize: 4 });
      }
    }
  });

  it('reads a long name that a header cuts off right behind a "/"', async () => {
    const name = `${FOLDER}/${'a'.repeat(66)}/name`;
    expect(name.charAt(99)).toBe('/');
    const tar = craftTar([{ name, text: 'content' }], 'GNU_FORMAT');
    expect(await inspect(tar)).toMatchObject({ members: 1, unpackedSize: 7 });
  });

  it('takes the first of several extended headers for one member, as Python does', async () => {
    // `LENGTH path=a/bb\n`, 13 bytes with LENGTH itself.
    const header = (path: string): Buffer =>
      craftTar([{ name: 'x', type: 'x', text: `13 path=${path}\n` }], 'USTAR_FORMAT').subarray(0, 1024);
    const [good, evil] = [header('a/bb'), header('../b')];
    const member = craftTar([{ name: 'plain', text: 'x' }], 'USTAR_FORMAT');
    const tar = Buffer.concat([good, evil, member]);
    await writeFile(join(root, 'twice.tar'), tar);
    expect(await namesByPython(join(root, 'twice.tar'))).toEqual(['a/bb']);
    expect((await inspect(tar)).folder).toBe('a');
    expect((await faultOf(Buffer.concat([evil, good, member]))).message).toMatch(/leads out/);
  });

  it('reads the comment that "git archive" leaves', async () => {
    const comment = '52 comment=0123456789abcdef0123456789abcdef01234567\n';
    const [plain, header] = [
      craftTar(GOOD),
      craftTar([{ name: 'pax_global_header', type: 'g', text: comment }], 'USTAR_FORMAT'),
    ];
    expect((await inspect(Buffer.concat([header.subarray(0, 1024), plain]))).members).toBe(2);
  });

  it('lets symbolic links point anywhere', async () => {
    const links = ['/opt/slapgrid/x', '../../../etc/passwd', 'bin'].map((target, index) => ({
      name: `${FOLDER}/link${index}`,
      type: '2',
      target,
    }));
    expect((await inspect(craftTar([...GOOD, ...links]))).members).toBe(5);
  });
});
