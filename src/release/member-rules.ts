import { quoteBriefly } from '../cache/digest.ts';
import { CacheError } from '../cache/errors.ts';
import { checkLength, checkPath, isFolderName } from './member-path.ts';
import type { TarMember } from './tar-walker.ts';

/** The rules for members of a software release: everything in one folder, nothing outside of it. */
export interface MemberRules {
  /**
   * The components of the member's path.
   * @throws CacheError `invalid-archive`
   */
  check(member: TarMember): readonly string[];
  /**
   * The top-level folder of all checked members.
   * @throws CacheError `invalid-archive` when there is none, or anything else at the top level
   */
  folder(): string;
  /** The first top-level folder so far. */
  firstFolder(): string | undefined;
}

/**
 * Members with their folders, and characters of all their paths: they take half a GB of memory at most. The largest releases
 * (ERP5) have 500 000, with 60 MiB of paths.
 */
const MEMBER_LIMIT = 2_000_000;
const NAMES_LIMIT = 256 * 1024 * 1024;
/** More top-level members end the inspection at once. */
const TOP_LEVEL_LIMIT = 20;
const NAMED = 4;

export function createMemberRules(): MemberRules {
  /** The top-level names with their kind. */
  const top = new Map<string, TarMember['kind'] | 'folder'>();
  /** Each path with its kind, also of folders that are no members. */
  const places = new Map<string, TarMember['kind']>();
  /** Characters of all paths. */
  let namesSize = 0;
  /** The folders of the last member, outermost first: checked already, as members come folder by folder. */
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
        `member ${quoteBriefly(path)} would change owner and mode of the software root of the nodes; pack it again with: tar -C ROOT -czf ARCHIVE FOLDER`,
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
   * Refuses a second member of the same name: Python's tarfile would write it, or set its owner and mode, through a link that
   * the first one made.
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
        `more than ${MEMBER_LIMIT} members and folders; the largest releases have a quarter of that`,
      );
    if (namesSize > NAMES_LIMIT)
      throw refused(
        `the paths of its members exceed ${NAMES_LIMIT / 1024 / 1024} MiB; the largest releases have a quarter of that`,
      );
  }

  function checkHardLink({ path, linkTarget }: TarMember, components: readonly string[]): void {
    const target = checkPath(linkTarget, `hard link ${quoteBriefly(path)}: target`);
    if (isFolderName(linkTarget))
      throw refused(`hard link ${quoteBriefly(path)} has the name of a folder as its target`);
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
    // Python's tarfile would change owner and mode of the symbolic link's target.
    if (kind === 'symlink')
      throw refused(
        `${what}the symbolic link ${quoteBriefly(linkTarget)}, whose target would get the wrong owner and mode on nodes; pack it again with cache pack, or with tar --hard-dereference`,
      );
  }

  /** Refuses a member below anything but folders. */
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
