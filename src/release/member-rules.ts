import { quoteBriefly } from '../cache/digest.ts';
import { CacheError } from '../cache/errors.ts';
import type { TarMember } from './tar-walker.ts';

/** What a member must be like to be unpacked into a software root: everything in one folder, nothing outside of it. */
export interface MemberRules {
  /**
   * The components of the member's path.
   * @throws CacheError `invalid-archive`
   */
  check(member: TarMember): readonly string[];
  /**
   * The one top-level folder of all members checked.
   * @throws CacheError `invalid-archive` when there is none, or anything beside it
   */
  folder(): string;
  /** The top-level folder of the members checked up to now, if there is one. */
  firstFolder(): string | undefined;
}

/** With more top-level members than this, nothing is gained by reading on. */
const TOP_LEVEL_LIMIT = 20;
const NAMED = 4;

export function createMemberRules(): MemberRules {
  /** The top-level names, and the kind of those that are no folder. */
  const top = new Map<string, TarMember['kind'] | 'folder'>();
  const symlinks = new Set<string>();
  /** The folders of the last member, outermost first, none of which is a symlink: members come folder by folder. */
  let clear: readonly string[] = [];

  function check(member: TarMember): readonly string[] {
    const { kind, path, linkTarget } = member;
    const components = checkPath(path, 'member');
    const [first] = components;
    if ((first === undefined || path.endsWith('/')) && kind !== 'directory') {
      throw refused(`member ${quoteBriefly(path)} can't be unpacked: its name is that of a folder`);
    }
    if (kind === 'device') throw refused(`member ${quoteBriefly(path)} is a device file`);
    if (kind === 'symlink' && (linkTarget === '' || linkTarget.includes('\0'))) {
      throw refused(
        `symbolic link ${quoteBriefly(path)} can't be unpacked: its target is empty or holds a NUL`,
      );
    }
    checkNotThroughSymlink(path, components);
    if (kind === 'hard-link') checkHardLink(member, components);
    // It isn't in `clear`, which is its own folders now.
    if (kind === 'symlink') symlinks.add(components.join('/'));
    if (first !== undefined) noteTop(first, components.length > 1 || kind === 'directory' ? 'folder' : kind);
    return components;
  }

  function checkHardLink({ path, linkTarget }: TarMember, components: readonly string[]): void {
    const target = checkPath(linkTarget, `hard link ${quoteBriefly(path)}: target`);
    if (target.length < 2 || target[0] !== components[0]) {
      throw refused(
        `hard link ${quoteBriefly(path)} leads out of its folder, to ${quoteBriefly(linkTarget)}`,
      );
    }
    checkNotThroughSymlink(linkTarget, target);
  }

  function checkNotThroughSymlink(path: string, components: readonly string[]): void {
    const folders = components.slice(0, -1);
    let depth = 0;
    while (depth < folders.length && folders[depth] === clear[depth]) depth++;
    while (depth < folders.length) {
      depth++;
      const folder = folders.slice(0, depth).join('/');
      if (symlinks.has(folder)) {
        throw refused(`member ${quoteBriefly(path)} lies behind the symbolic link ${quoteBriefly(folder)}`);
      }
    }
    clear = folders;
  }

  function noteTop(name: string, kind: TarMember['kind'] | 'folder'): void {
    if (top.get(name) !== 'folder') top.set(name, kind);
    if (top.size > TOP_LEVEL_LIMIT) throw severalFolders(top.keys(), `more than ${TOP_LEVEL_LIMIT}`);
  }

  function folder(): string {
    if (top.size === 0) throw refused('the archive is empty: the tar has no members');
    const folders = [...top].filter(([, kind]) => kind === 'folder');
    const [only] = folders;
    if (folders.length > 1) throw severalFolders(top.keys(), `${top.size}`);
    for (const [name, kind] of top) {
      if (kind === 'folder') continue;
      const beside = only === undefined ? '' : ` beside the folder ${quoteBriefly(only[0])}`;
      throw refused(
        `its top-level member ${quoteBriefly(name)} is ${NAMES[kind]}, not a folder${beside}; ${EXPECTATION}`,
      );
    }
    return only?.[0] ?? '';
  }

  function firstFolder(): string | undefined {
    return [...top].find(([, kind]) => kind === 'folder')?.[0];
  }

  return { check, folder, firstFolder };
}

const EXPECTATION = 'one folder named by the md5 of the software URL is expected, with everything inside';

const NAMES: Readonly<Record<TarMember['kind'], string>> = {
  file: 'a file',
  directory: 'a folder',
  'hard-link': 'a hard link',
  symlink: 'a symbolic link',
  device: 'a device file',
  fifo: 'a named pipe',
};

/** The components of a path as recorded in a tar; `.` and repeated slashes, as `tar -C ROOT .` leaves them, go. */
function componentsOf(path: string): readonly string[] {
  return path.split('/').filter((component) => component !== '' && component !== '.');
}

function checkPath(path: string, whose: string): readonly string[] {
  if (path === '' || path.includes('\0')) {
    throw refused(`${whose} ${quoteBriefly(path)} can't be unpacked: its name is empty or holds a NUL`);
  }
  if (path.startsWith('/')) throw refused(`${whose} ${quoteBriefly(path)} has an absolute name`);
  const components = componentsOf(path);
  if (components.includes('..')) throw refused(`${whose} ${quoteBriefly(path)} leads out with ".."`);
  return components;
}

function severalFolders(names: Iterable<string>, count: string): CacheError {
  const all = [...names];
  const named = all.slice(0, NAMED).map(quoteBriefly).join(', ');
  return refused(`${count} top-level members (${named}${all.length > NAMED ? ', …' : ''}); ${EXPECTATION}`);
}

function refused(message: string): CacheError {
  return new CacheError('invalid-archive', message);
}
