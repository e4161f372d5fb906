import { softwareUrlOf } from './buildout-config.ts';
import { createMemberRules } from './member-rules.ts';
import { createMultiarchVote, VOTE_SIZE } from './multiarch-vote.ts';
import type { ReleaseMarkers } from './release-markers.ts';
import type { TarMember, TarVisitor } from './tar-walker.ts';

/** The software release in an archive, according to its members. */
export interface ReleaseContents {
  /** The top-level folder: md5(software URL) in a good archive. */
  readonly folder: string;
  /** `[buildout] extends` of the folder's buildout.cfg. */
  readonly softwareUrl: string | undefined;
  /** From the ELF headers of the programs. */
  readonly multiarch: string | undefined;
  readonly members: number;
  /** Bytes of file contents. */
  readonly unpackedSize: number;
  readonly markers: ReleaseMarkers;
}

/** The facts that are known before the archive was read to the end. */
export interface ReleaseGlimpse {
  readonly folder: string | undefined;
  readonly softwareUrl: string | undefined;
  readonly multiarch: string | undefined;
}

/** Collects the contents of a release while a tar is walked. */
export interface ReleaseReader extends TarVisitor {
  /** Call it after the end of the tar. @throws CacheError `invalid-archive` */
  result(): ReleaseContents;
  /** May be called at any time. */
  glimpse(): ReleaseGlimpse;
}

/** Slapgrid writes less than 1 KiB into a buildout.cfg. */
const BUILDOUT_CONFIG_SIZE_LIMIT = 1024 * 1024;

/** `enter` throws CacheError `invalid-archive` for a member that can't or must not be unpacked. */
export function createReleaseReader(): ReleaseReader {
  const rules = createMemberRules();
  const vote = createMultiarchVote();
  let buildoutConfig = '';
  let members = 0;
  let unpackedSize = 0;
  const markers = { completed: false, shared: false };
  /** Path components of the last member entered. */
  let components: readonly string[] = [];

  function enter(member: TarMember): number {
    components = rules.check(member);
    members += 1;
    if (member.kind !== 'file') return 0;
    unpackedSize += member.size;
    return components.length === 2 && components[1] === 'buildout.cfg'
      ? BUILDOUT_CONFIG_SIZE_LIMIT
      : VOTE_SIZE;
  }

  function leave(member: TarMember, content: Buffer): void {
    if (member.kind !== 'file') return;
    const [, first = ''] = components;
    if (components.length > 2) {
      vote.add(first, content);
    } else if (first === 'buildout.cfg') {
      buildoutConfig = content.toString('utf8');
    } else {
      markers.completed ||= first === '.completed';
      markers.shared ||= first === '.shared';
    }
  }

  return {
    enter,
    leave,
    result() {
      const folder = rules.folder();
      const softwareUrl = softwareUrlOf(buildoutConfig, folder);
      return {
        folder,
        softwareUrl,
        multiarch: vote.result(),
        members,
        unpackedSize,
        markers: { ...markers },
      };
    },
    glimpse() {
      const folder = rules.firstFolder();
      const softwareUrl = folder === undefined ? undefined : softwareUrlOf(buildoutConfig, folder);
      return { folder, softwareUrl, multiarch: vote.early() };
    },
  };
}
