import { execFileSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import { CacheError } from '../../src/cache/errors.ts';
import { createTarWalker } from '../../src/release/tar-walker.ts';
import { createReleaseReader } from '../../src/release/release-contents.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { FOLDER } from './crafted-tar.ts';
import { paxRecord, rawExtension, rawFile, rawHeader, TAR_END } from './raw-tar.ts';

const numRuns = process.env['SHACACHE_HEAVY'] === undefined ? 300 : 10_000;

/** Stands for whatever nodes have outside of the software root; it is put beside the root that is unpacked into. */
const VICTIM = '../victim';

const name = fc
  .tuple(
    fc.constantFrom(`${FOLDER}/`, `./${FOLDER}//`, `${FOLDER}/d/`, '', '/'),
    fc.constantFrom('a', 'b', 'l', 'd', 'l/pwned', 'a/', '', '.', VICTIM, `${VICTIM}/pwned`, 'x\n', '\xe9'),
  )
  .map((parts) => parts.join(''));
const target = fc.oneof(
  name,
  fc.constantFrom('a', `../../victim`, `../../victim/file`, `../../victim/pwned`, `${FOLDER}/a`),
);
const extension = fc
  .tuple(
    fc.constantFrom('x', 'x', 'g', 'L', 'K'),
    fc.constantFrom('path', 'linkpath', 'comment', 'size', 'mtime', ''),
    fc.oneof(name, fc.constantFrom('0', '512', '1.5')),
    fc.oneof(
      { weight: 4, arbitrary: fc.constant('') },
      fc.constantFrom('/../victim', '18 path=../pwned\n', '\0'),
    ),
  )
  .map(([type, keyword, value, padding]) =>
    rawExtension(type as 'x', type === 'L' || type === 'K' ? value : paxRecord(keyword, value), padding),
  );
const member = fc
  .tuple(
    name,
    target,
    fc.constantFrom('0', '0', '0', '\0', '5', '2', '1', '1', '7', '6'),
    fc.constantFrom('0000755\0', '0004777\0', '0000700\0', ' 755 \0\0\0', '\x80\0\0\0\0\0\x01\xed'),
    fc.constantFrom('', '', '', 'content'),
    fc.constantFrom('', '', '', FOLDER),
  )
  .map(([path, link, type, mode, content, prefix]) => {
    const linkTarget = type === '1' || type === '2' ? link : '';
    const bytes = Buffer.from(mode, 'latin1');
    return rawFile(path, content, { type, target: linkTarget, mode: bytes, prefix });
  });
const archive = fc
  .array(fc.oneof({ weight: 4, arbitrary: member }, extension), { minLength: 1, maxLength: 7 })
  .map((blocks) => Buffer.concat([rawHeader({ name: FOLDER, type: '5' }), ...blocks, TAR_END]));

/** How many members an import would see; undefined where it would refuse the archive. */
function membersOf(tar: Buffer): number | undefined {
  const release = createReleaseReader();
  const walker = createTarWalker(release);
  try {
    walker.write(tar);
    walker.end();
    return release.result().members;
  } catch (error) {
    if (error instanceof CacheError) return undefined;
    throw error;
  }
}

const UNPACK = `
import json, os, sys, tarfile
everything = {'filter': 'fully_trusted'} if hasattr(tarfile, 'fully_trusted_filter') else {}
answers = []
for index in range(int(sys.argv[2])):
    folder = os.path.join(sys.argv[1], str(index))
    victim, root = os.path.join(folder, 'victim'), os.path.join(folder, 'root')
    for made in (victim, root):
        os.makedirs(made)
        os.chmod(made, 0o750)
    with open(os.path.join(victim, 'file'), 'w') as file:
        file.write('untouched')
    os.chmod(file.name, 0o640)
    fault = None
    try:
        with tarfile.open(folder + '.tar') as tar:
            members = len(tar.getmembers())
            tar.extractall(root, **everything)
    except Exception as error:
        fault = '%s: %s' % (type(error).__name__, error)
    modes = [oct(os.lstat(path).st_mode & 0o7777) for path in (root, victim, file.name)]
    found = [sorted(os.listdir(path)) for path in (folder, victim, root)]
    answers.append([fault, members, modes, found, open(file.name).read()])
json.dump(answers, sys.stdout)
`;

it("whatever is taken, Python's tarfile unpacks, all of it, and into its folder only", async () => {
  const taken: { readonly tar: Buffer; readonly members: number }[] = [];
  for (const tar of fc.sample(archive, numRuns * 4)) {
    const members = membersOf(tar);
    if (members !== undefined) taken.push({ tar, members });
  }
  expect(taken.length).toBeGreaterThan(numRuns / 10);
  const folder = await temporaryFolder();
  for (const [index, { tar }] of taken.entries()) await writeFile(join(folder, `${index}.tar`), tar);
  const args = ['-W', 'ignore', '-c', UNPACK, folder, String(taken.length)];
  const answers = JSON.parse(
    execFileSync('python3', args, { encoding: 'utf8', maxBuffer: 1e9 }),
  ) as readonly unknown[];
  for (const [index, { members }] of taken.entries()) {
    expect(answers[index], `${index}.tar`).toEqual([
      null,
      members,
      ['0o750', '0o750', '0o640'],
      [['root', 'victim'], ['file'], [FOLDER]],
      'untouched',
    ]);
  }
});
