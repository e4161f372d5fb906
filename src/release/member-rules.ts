import { quoteBriefly } from '../cache/digest.ts';
import { CacheError } from '../cache/errors.ts';
import { checkLength, checkPath, isFolderName } from './member-path.ts';
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

/**
 * Members and the folders above them, and the length of all their paths: they are remembered, which takes half a GB of memory at
 * most. The largest releases, of ERP5, have some 500 000, of 60 MiB.
 */
const MEMBER_LIMIT = 2_000_000;
const NAMES_LIMIT = 256 * 1024 * 1024;
/** With more top-level members than this, nothing is gained by reading on. */
const TOP_LEVEL_LIMIT = 20;
const NAMED = 4;

export function createMemberRules(): MemberRules {
  /** The top-level names, and the kind of those that are no folder. */
  const top = new Map<string, TarMember['kind'] | 'folder'>();
  /** What stands where; the folders that members lie in, too. Each name comes once, so that this can't change. */
  const places = new Map<string, TarMember['kind']>();
  /** Characters of their names. */
  let namesSize = 0;
  /** The folders of the last member, outermost first, which are good: members come folder by folder. */
  let clear: readonly string[] = [];

  function check(member: TarMember): readonly string[] {
    const { kind, path, linkTarget } = member;
    const components = checkPath(path, 'member');
    const [first] = components;
    if (isFolderName(path) && kind !== 'directory') {
      throw refused(`member ${quoteBriefly(path)} can't be unpacked: its name is that of a folder`);
    }
    if (kind === 'device') throw refused(`member ${quoteBriefly(path)} is a device file`);
    if (kind === 'symlink' && (linkTarget === '' || linkTarget.includes('\0'))) {
      throw refused(
        `symbolic link ${quoteBriefly(path)} can't be unpacked: its target is empty or holds a NUL`,
      );
    }
    if (first === undefined) {
      throw refused(
        `member ${quoteBriefly(path)} would give its owner and mode to the software root of the nodes; pack it again with: tar -C ROOT -czf ARCHIVE FOLDER`,
      );
    }
    if (kind === 'symlink') checkLength(linkTarget, `symbolic link ${quoteBriefly(path)}: target`);
    checkFolders(path, components);
    if (kind === 'hard-link') checkHardLink(member, components);
    place(member, components.join('/'));
    noteTop(first, components.length > 1 || kind === 'directory' ? 'folder' : kind);
    return components;
  }

  /**
   * The second of a name would be written, or would get its owner and mode, through the symbolic or hard link that the first
   * made: Python's tarfile opens what is there.
   */
  function place({ kind, path }: TarMember, where: string): void {
    const before = places.get(where);
    if (before !== undefined && (before !== 'directory' || kind !== 'directory'))
      throw refused(`member ${quoteBriefly(path)} comes twice, first as ${NAMES[before]}; pack it again`);
    remember(where, kind);
  }

  function remember(where: string, kind: TarMember['kind']): void {
    const before = places.size;
    places.set(where, kind);
    if (places.size === before) return;
    namesSize += where.length;
    if (places.size > MEMBER_LIMIT)
      throw refused(
        `more than ${MEMBER_LIMIT} members and folders, of which the largest releases have a quarter`,
      );
    if (namesSize > NAMES_LIMIT)
      throw refused(
        `the paths of its members have more than ${NAMES_LIMIT / 1024 / 1024} MiB, of which the largest releases have a quarter`,
      );
  }

  function checkHardLink({ path, linkTarget }: TarMember, components: readonly string[]): void {
    const target = checkPath(linkTarget, `hard link ${quoteBriefly(path)}: target`);
    if (isFolderName(linkTarget))
      throw refused(`hard link ${quoteBriefly(path)} is one of a folder, by its name`);
    if (target.length < 2 || target[0] !== components[0]) {
      throw refused(
        `hard link ${quoteBriefly(path)} leads out of its folder, to ${quoteBriefly(linkTarget)}`,
      );
    }
    checkFolders(linkTarget, target);
    const kind = places.get(target.join('/'));
    const what = `hard link ${quoteBriefly(path)} is another name of `;
    if (kind === undefined)
      throw refused(`${what}${quoteBriefly(linkTarget)}, which does not come before it; pack it again`);
    if (kind === 'directory') throw refused(`${what}${quoteBriefly(linkTarget)}, which is a folder`);
    // Python's tarfile gives owner and mode to what the symbolic link leads to.
    if (kind === 'symlink')
      throw refused(
        `${what}the symbolic link ${quoteBriefly(linkTarget)}, through which nodes would change what it leads to; pack it again with cache pack, or with tar --hard-dereference`,
      );
  }

  /** None of them may be anything else than a folder. */
  function checkFolders(path: string, components: readonly string[]): void {
    const folders = components.slice(0, -1);
    let depth = 0;
    while (depth < folders.length && folders[depth] === clear[depth]) depth++;
    while (depth < folders.length) {
      depth++;
      const folder = folders.slice(0, depth).join('/');
      const kind = places.get(folder) ?? 'directory';
      if (kind === 'symlink')
        throw refused(`member ${quoteBriefly(path)} lies behind the symbolic link ${quoteBriefly(folder)}`);
      if (kind !== 'directory')
        throw refused(
          `member ${quoteBriefly(path)} lies in ${quoteBriefly(folder)}, which is ${NAMES[kind]}`,
        );
      remember(folder, kind);
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

function severalFolders(names: Iterable<string>, count: string): CacheError {
  const all = [...names];
  const named = all.slice(0, NAMED).map(quoteBriefly).join(', ');
  return refused(`${count} top-level members (${named}${all.length > NAMED ? ', …' : ''}); ${EXPECTATION}`);
}

function refused(message: string): CacheError {
  return new CacheError('invalid-archive', message);
}
