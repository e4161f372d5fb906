import { Header } from 'tar/header';
import { quoteBriefly } from '../cache/digest.ts';
import { CacheError } from '../cache/errors.ts';
import { decodeName } from './member-name.ts';
import { hasHugeNumber, hasNegativeNumber, isHeaderForPython } from './header-numbers.ts';

/** A tar is a row of blocks of this many bytes. */
export const BLOCK_SIZE = 512;

/** What a header stands for: a member, or a word about the member that follows it. */
export type HeaderKind =
  | 'file'
  | 'directory'
  | 'hard-link'
  | 'symlink'
  | 'device'
  | 'fifo'
  | 'pax'
  | 'pax-global'
  | 'long-path'
  | 'long-link';

/** What extended headers say of the member that follows, in place of its own header. */
export interface TarExtension {
  readonly path?: string;
  readonly linkTarget?: string;
  /** Bytes. */
  readonly size?: number;
  /** The file is sparse, and has this path; `''` where another field tells it. */
  readonly sparse?: string;
}

/** One header block, with what extended headers before it said. */
export interface TarHeader {
  readonly kind: HeaderKind;
  readonly path: string;
  /** `''` for what is no link. */
  readonly linkTarget: string;
  /** Bytes of content as recorded; always 0 for a directory. */
  readonly size: number;
}

/**
 * The type flags that GNU tar, node-tar and Python's tarfile take for the same thing. Others are refused: GNU's
 * sparse files, volume labels and incremental dumps are content to one of these programs and not to another.
 */
const KINDS: Readonly<Record<string, HeaderKind>> = {
  File: 'file',
  OldFile: 'file',
  ContiguousFile: 'file',
  Directory: 'directory',
  Link: 'hard-link',
  SymbolicLink: 'symlink',
  CharacterDevice: 'device',
  BlockDevice: 'device',
  FIFO: 'fifo',
  ExtendedHeader: 'pax',
  OldExtendedHeader: 'pax',
  GlobalExtendedHeader: 'pax-global',
  NextFileHasLongPath: 'long-path',
  NextFileHasLongLinkpath: 'long-link',
};

const EXTENSIONS: ReadonlySet<HeaderKind> = new Set(['pax', 'pax-global', 'long-path', 'long-link']);

/** Whether a file that starts so can be a tar: a good header, one that calls itself `ustar`, or the zeros of an empty tar. */
export function isTarBlock(head: Uint8Array): boolean {
  const bytes = Buffer.from(head.buffer, head.byteOffset, head.length);
  if (bytes.toString('latin1', 257, 262) === 'ustar') return true;
  if (bytes.length < BLOCK_SIZE) return false;
  return isZero(bytes.subarray(0, BLOCK_SIZE)) || decode(bytes, {})?.cksumValid === true;
}

export function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0);
}

/**
 * Parses a header block that isn't all zeros. Joins names as Python's tarfile does.
 * @param position bytes from the start of the tar, for the message
 * @param extension fields of the extended headers before it; only a member uses them
 * @throws CacheError `invalid-archive`, `unsupported-archive` for a kind of member that only some programs read
 */
export function parseTarHeader(block: Buffer, position: number, extension: TarExtension): TarHeader {
  const path = extension.path ?? recordedPath(block);
  const { kind, size } = readKindAndSize(block, path, extension, position);
  if (extension.sparse !== undefined && !EXTENSIONS.has(kind))
    throw unsupportedKind(extension.sparse || path, 'S');
  return { kind, path, linkTarget: extension.linkTarget ?? text(block, 157, 100), size };
}

function readKindAndSize(
  block: Buffer,
  path: string,
  extension: TarExtension,
  position: number,
): Pick<TarHeader, 'kind' | 'size'> {
  const header = decode(block, extension);
  if (header?.cksumValid !== true || !isHeaderForPython(block) || hasHugeNumber(block))
    throw corruptHeader(position);
  const kind = KINDS[header.type];
  const flag = String.fromCharCode(block[156] ?? 0);
  // Where others have the first part of the path, GNU's sparse files have times.
  if (flag === 'S') throw unsupportedKind(extension.path ?? text(block, 0, 100), flag);
  if (kind === undefined) throw unsupportedKind(path, flag);
  if (hasNegativeNumber(block)) throw tooOld(kind, path);
  // An old header is that of a folder by the "/" of its own name. To tar's Header an extended name says so, too, and what
  // stands behind the NUL of the name.
  if (flag === '\0' && (kind === 'directory') !== text(block, 0, 100).endsWith('/'))
    throw corruptHeader(position);
  // A file whose name ends with "/": tar's Header makes it a directory without content, Python keeps it a file.
  if (kind === 'directory' && flag === '0') throw corruptHeader(position);
  // An empty field is a 0; of anything else that is no number, tar's Header makes undefined too.
  const size = header.size ?? (text(block, 124, 12).trim() === '' ? 0 : undefined);
  if (size === undefined) throw corruptHeader(position);
  return { kind, size };
}

function recordedPath(block: Buffer): string {
  const name = text(block, 0, 100);
  const prefix = text(block, 345, 155);
  return prefix === '' ? name : `${prefix}/${name}`;
}

export function corruptHeader(position: number): CacheError {
  return new CacheError(
    'invalid-archive',
    `corrupt: no valid tar header at byte ${position} of the unpacked tar`,
  );
}

function unsupportedKind(path: string, flag: string): CacheError {
  const kind = flag === 'S' ? 'a sparse file' : `of the unusual kind ${quoteBriefly(flag)}`;
  return new CacheError(
    'unsupported-archive',
    `member ${quoteBriefly(path)} is ${kind}, which programs unpack differently; pack it again with plain "tar -czf"`,
  );
}

/** Only times are ever negative. */
function tooOld(kind: HeaderKind, path: string): CacheError {
  const what = EXTENSIONS.has(kind)
    ? `the member that belongs to ${quoteBriefly(path)}`
    : `member ${quoteBriefly(path)}`;
  return new CacheError(
    'invalid-archive',
    `${what} is dated before 1970, where some versions of Python silently end the archive; give it another time with "touch" and pack it again`,
  );
}

/**
 * Undefined for a number out of range, which makes tar's Header throw. It has to know the extended path: by the
 * header's own, cut off after 100 bytes and perhaps right behind a "/", it would take a file for a directory.
 */
function decode(block: Buffer, { path, linkTarget, size }: TarExtension): Header | undefined {
  try {
    return new Header(block, 0, {
      ...(path !== undefined && { path }),
      ...(linkTarget !== undefined && { linkpath: linkTarget }),
      ...(size !== undefined && { size }),
    });
  } catch (error) {
    // It has no class of its own for that, and no code: a TypeError and the like are faults of this program.
    if (!(error instanceof Error) || error.constructor !== Error) throw error;
    return undefined;
  }
}

/** A field of a header, up to its first NUL. */
function text(block: Buffer, start: number, length: number): string {
  if (block[start] === 0) return '';
  const end = block.indexOf(0, start);
  return decodeName(block.subarray(start, end === -1 ? start + length : Math.min(end, start + length)));
}
