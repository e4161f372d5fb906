import { quoteBriefly } from '../cache/digest.ts';
import { CacheError } from '../cache/errors.ts';
import { PATH_LIMIT } from './member-path.ts';
import { checkGlobalExtension, extend } from './tar-extension.ts';
import { cutOff, tooLongExtension, tooManyExtensions } from './tar-fault.ts';
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
  /** As recorded: it may be absolute, empty, or contain `..`. */
  readonly path: string;
  /** `''` if it is no link. */
  readonly linkTarget: string;
  /** Bytes of content; 0 if it is no file. */
  readonly size: number;
}

/** Receives each member in turn. An error that it throws ends the walk. */
export interface TarVisitor {
  /** A member begins. Returns how many bytes from the start of its content it wants. */
  enter(member: TarMember): number;
  /** A member is complete. `content` is its start, as wanted; it is only valid until `leave` returns. */
  leave(member: TarMember, content: Buffer): void;
}

/** Walks over a tar that comes in pieces of any size; keeps only wanted content in memory. */
export interface TarWalker {
  /** The caller may reuse `bytes`. @throws CacheError `invalid-archive`, `unsupported-archive`; errors of the visitor */
  write(bytes: Uint8Array): void;
  /** @throws CacheError `invalid-archive` when the tar is incomplete */
  end(): void;
}

/** Bytes of an extended header: paths of 4095 bytes and attributes of 64 KiB need far less. */
const EXTENSION_SIZE_LIMIT = 1024 * 1024;
/** Extended headers for one member: GNU tar writes three at most, and Python fails after some hundred. */
const EXTENSIONS_LIMIT = 16;
/** A tar ends with two blocks of zeros. */
const END_SIZE = 2 * BLOCK_SIZE;
const EMPTY = Buffer.alloc(0);

/** The content that is read now. */
interface Body {
  /** Undefined for an extended header. */
  readonly path: string | undefined;
  /** Bytes of the content to keep. */
  readonly wanted: number;
  /** The kept bytes, if the content doesn't come in one piece. */
  kept: Buffer | undefined;
  /** Filled bytes of `kept`. */
  filled: number;
  /** Bytes to come, including the padding of the last block. */
  left: number;
  readonly done: (kept: Buffer) => void;
}

/**
 * Reads a tar as Python's tarfile does, which unpacks it on nodes, but refuses a tar without an end, and data after the end:
 * tarfile silently ignores both.
 */
export function createTarWalker(visitor: TarVisitor): TarWalker {
  const block = Buffer.alloc(BLOCK_SIZE);
  let blockFilled = 0;
  let position = 0;
  let extension: TarExtension | undefined;
  /** Extended headers since the last member. */
  let extensions = 0;
  let body: Body | undefined;
  let endSize = 0;

  function write(bytes: Uint8Array): void {
    const chunk = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    for (let start = 0; start < chunk.length;) {
      const taken =
        endSize > 0
          ? takeEnd(chunk, start)
          : body !== undefined
            ? takeBody(body, chunk, start)
            : takeHeader(chunk, start);
      start += taken;
      position += taken;
    }
  }

  function takeHeader(chunk: Buffer, start: number): number {
    const isWhole = blockFilled === 0 && chunk.length - start >= BLOCK_SIZE;
    if (isWhole) {
      openHeader(chunk.subarray(start, start + BLOCK_SIZE), position);
      return BLOCK_SIZE;
    }
    const taken = chunk.copy(block, blockFilled, start, start + BLOCK_SIZE - blockFilled);
    blockFilled += taken;
    if (blockFilled === BLOCK_SIZE) {
      blockFilled = 0;
      openHeader(block, position + taken - BLOCK_SIZE);
    }
    return taken;
  }

  function openHeader(header: Buffer, headerPosition: number): void {
    if (!isZero(header)) {
      openBody(parseTarHeader(header, headerPosition, extension ?? {}), headerPosition);
    } else if (extensions === 0) {
      endSize = BLOCK_SIZE;
    } else {
      throw corruptHeader(headerPosition);
    }
  }

  function openBody(header: TarHeader, headerPosition: number): void {
    const { kind } = header;
    if (kind === 'pax' || kind === 'pax-global' || kind === 'long-path' || kind === 'long-link') {
      const limit = kind === 'pax' || kind === 'pax-global' ? EXTENSION_SIZE_LIMIT : PATH_LIMIT + 1;
      if (header.size > limit) throw tooLongExtension(header.size, limit, headerPosition);
      extensions += 1;
      if (extensions > EXTENSIONS_LIMIT) throw tooManyExtensions(EXTENSIONS_LIMIT, headerPosition);
      // Python also reads the padding.
      const wholeSize = sizeInBlocks(header.size);
      startBody(undefined, wholeSize, wholeSize, (blocks) => {
        if (!isZero(blocks.subarray(header.size))) throw corruptHeader(headerPosition);
        const content = blocks.subarray(0, header.size);
        if (kind === 'pax-global') checkGlobalExtension(content);
        else extension = extend(extension ?? {}, kind, content);
      });
      return;
    }
    extension = undefined;
    extensions = 0;
    const { path, linkTarget } = header;
    const member: TarMember = { kind, path, linkTarget, size: kind === 'directory' ? 0 : header.size };
    if (kind !== 'file' && member.size > 0) {
      // Python's tarfile continues right after the header; GNU tar skips the content first.
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

  function startBody(path: string | undefined, size: number, limit: number, done: Body['done']): void {
    const left = sizeInBlocks(size);
    if (left === 0) done(EMPTY);
    else body = { path, wanted: Math.min(limit, size), kept: undefined, filled: 0, left, done };
  }

  function takeBody(current: Body, chunk: Buffer, start: number): number {
    const taken = Math.min(current.left, chunk.length - start);
    const { wanted } = current;
    let content = current.kept;
    if (content === undefined && taken === current.left) {
      content = chunk.subarray(start, start + wanted);
    } else {
      content = current.kept ??= Buffer.alloc(wanted);
      if (current.filled < wanted)
        current.filled += chunk.copy(content, current.filled, start, start + taken);
    }
    current.left -= taken;
    if (current.left === 0) {
      body = undefined;
      current.done(content);
    }
    return taken;
  }

  function takeEnd(chunk: Buffer, start: number): number {
    const rest = chunk.subarray(start);
    if (!isZero(rest)) {
      throw new CacheError(
        'invalid-archive',
        'data follows the end of the tar, which nodes would silently ignore; pack it again as one tar',
      );
    }
    endSize += rest.length;
    return rest.length;
  }

  function end(): void {
    if (body !== undefined)
      throw cutOff(
        `it ends inside ${body.path === undefined ? 'an extended header' : quoteBriefly(body.path)}`,
      );
    if (blockFilled > 0) throw cutOff('it ends inside a header');
    if (endSize < END_SIZE) throw cutOff('the blocks of zeros at its end are missing');
  }

  return { write, end };
}

/** Bytes including the padding. */
function sizeInBlocks(size: number): number {
  return Math.ceil(size / BLOCK_SIZE) * BLOCK_SIZE;
}
