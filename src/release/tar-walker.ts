import { quoteBriefly } from '../cache/digest.ts';
import { CacheError } from '../cache/errors.ts';
import { checkGlobalExtension, extend } from './tar-extension.ts';
import {
  BLOCK_SIZE,
  corruptHeader,
  isZero,
  parseTarHeader,
  type HeaderKind,
  type TarExtension,
  type TarHeader,
} from './tar-header.ts';

/** A member of a tar, extended headers applied. */
export interface TarMember {
  readonly kind: Exclude<HeaderKind, 'pax' | 'pax-global' | 'long-path' | 'long-link'>;
  /** As recorded: it may be absolute, empty, or lead out of where it is unpacked. */
  readonly path: string;
  /** `''` for what is no link. */
  readonly linkTarget: string;
  /** Bytes of content; 0 for what is no file. */
  readonly size: number;
}

/** Is told of each member in turn. What it throws ends the walk. */
export interface TarVisitor {
  /** A member begins. Returns how many bytes of the start of its content are wanted. */
  enter(member: TarMember): number;
  /** A member was there whole. `content` is its start, as much as was wanted and exists. */
  leave(member: TarMember, content: Buffer): void;
}

/** Walks over the bytes of a tar that come in pieces of any size; only wanted content is kept in memory. */
export interface TarWalker {
  /** Doesn't keep `bytes`. @throws CacheError `invalid-archive`, `unsupported-archive`, whatever the visitor throws */
  write(bytes: Uint8Array): void;
  /** @throws CacheError `invalid-archive` when the tar isn't there whole */
  end(): void;
}

/** Longest extended header: names of 4096 bytes and some attributes stay far below it. */
const EXTENSION_SIZE_LIMIT = 1024 * 1024;
/** A tar ends with two blocks of zeros. */
const END_SIZE = 2 * BLOCK_SIZE;

/** Content that is being read. */
interface Body {
  readonly path: string;
  /** Where the wanted start of the content is gathered. */
  readonly kept: Buffer;
  /** How much of `kept` is filled. */
  filled: number;
  /** Bytes still to come, padding to the end of the block included. */
  left: number;
  readonly done: (kept: Buffer) => void;
}

/**
 * It reads a tar as Python's tarfile does, since that is what unpacks it in the end, but refuses what tarfile
 * silently takes for the end: a missing end, and data after it. node-tar's Parser does neither.
 */
export function createTarWalker(visitor: TarVisitor): TarWalker {
  const block = Buffer.alloc(BLOCK_SIZE);
  let blockFilled = 0;
  let position = 0;
  let extension: TarExtension | undefined;
  let body: Body | undefined;
  let endSize = 0;

  function write(bytes: Uint8Array): void {
    const chunk = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    for (let start = 0; start < chunk.length;) {
      const rest = chunk.subarray(start);
      const taken =
        endSize > 0 ? takeEnd(rest) : body !== undefined ? takeBody(body, rest) : takeHeader(rest);
      start += taken;
      position += taken;
    }
  }

  function takeHeader(rest: Buffer): number {
    const taken = rest.copy(block, blockFilled, 0, BLOCK_SIZE - blockFilled);
    blockFilled += taken;
    if (blockFilled === BLOCK_SIZE) {
      blockFilled = 0;
      openHeader(position + taken - BLOCK_SIZE);
    }
    return taken;
  }

  function openHeader(headerPosition: number): void {
    if (!isZero(block)) {
      openBody(parseTarHeader(block, headerPosition, extension ?? {}), headerPosition);
    } else if (extension === undefined) {
      endSize = BLOCK_SIZE;
    } else {
      throw corruptHeader(headerPosition);
    }
  }

  function openBody(header: TarHeader, headerPosition: number): void {
    const { kind } = header;
    if (kind === 'pax' || kind === 'pax-global' || kind === 'long-path' || kind === 'long-link') {
      if (header.size > EXTENSION_SIZE_LIMIT) throw corruptHeader(headerPosition);
      startBody(header.path, header.size, header.size, (content) => {
        if (kind === 'pax-global') checkGlobalExtension(content);
        else extension = extend(extension ?? {}, kind, content);
      });
      return;
    }
    extension = undefined;
    const { path, linkTarget } = header;
    const member: TarMember = { kind, path, linkTarget, size: kind === 'directory' ? 0 : header.size };
    if (kind !== 'file' && member.size > 0) {
      // Python's tarfile goes on right after the header, GNU tar and others skip the content first.
      throw new CacheError(
        'invalid-archive',
        `corrupt: member ${quoteBriefly(member.path)} is no file but has content`,
      );
    }
    const wanted = visitor.enter(member);
    startBody(member.path, member.size, wanted, (content) => {
      visitor.leave(member, content);
    });
  }

  function startBody(path: string, size: number, wanted: number, done: Body['done']): void {
    const left = Math.ceil(size / BLOCK_SIZE) * BLOCK_SIZE;
    const opened: Body = { path, kept: Buffer.alloc(Math.min(wanted, size)), filled: 0, left, done };
    if (left === 0) done(opened.kept);
    else body = opened;
  }

  function takeBody(current: Body, rest: Buffer): number {
    const taken = Math.min(current.left, rest.length);
    if (current.filled < current.kept.length)
      current.filled += rest.copy(current.kept, current.filled, 0, taken);
    current.left -= taken;
    if (current.left === 0) {
      body = undefined;
      current.done(current.kept);
    }
    return taken;
  }

  function takeEnd(rest: Buffer): number {
    if (!isZero(rest)) {
      throw new CacheError(
        'invalid-archive',
        'data follows the end of the tar, which the nodes would silently leave out; pack it again as one tar',
      );
    }
    endSize += rest.length;
    return rest.length;
  }

  function end(): void {
    if (body !== undefined) throw cutOff(`it ends inside of ${quoteBriefly(body.path)}`);
    if (blockFilled > 0) throw cutOff('it ends inside of a header');
    if (endSize < END_SIZE) throw cutOff('the blocks of zeros at its end are missing');
  }

  return { write, end };
}

function cutOff(detail: string): CacheError {
  return new CacheError('invalid-archive', `cut-off tar: ${detail}; copy or pack it again`);
}
