import { quoteBriefly } from '../cache/digest.ts';
import { CacheError } from '../cache/errors.ts';
import { hasHugeNumber, hasNegativeNumber, isHeader, readSize } from './header-numbers.ts';
import { decodeName } from './member-name.ts';

/** Bytes of a block; a tar consists of blocks. */
export const BLOCK_SIZE = 512;
/** Where the type flag is. */
const FLAG = 156;
const NAME_SIZE = 100;
const SLASH = 0x2f;

/** The kind of a member, or of an extended header for the member that follows. */
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

/** Fields of extended headers; they replace those of the member's own header. */
export interface TarExtension {
  readonly path?: string;
  readonly linkTarget?: string;
  /** Bytes. */
  readonly size?: number;
  /** The path of a sparse file; `''` if another field has it. */
  readonly sparse?: string;
}

/** A header block, extended headers applied. */
export interface TarHeader {
  readonly kind: HeaderKind;
  readonly path: string;
  /** `''` if it is no link. */
  readonly linkTarget: string;
  /** Bytes of content as recorded; always 0 for a directory. */
  readonly size: number;
}

/**
 * The type flags that GNU tar and Python's tarfile take for the same thing. Others are refused: GNU's sparse files, volume
 * labels and incremental dumps are content to one of these programs and not to the other.
 */
const KINDS: ReadonlyMap<string, HeaderKind> = new Map([
  ['\0', 'file'],
  ['0', 'file'],
  ['7', 'file'],
  ['5', 'directory'],
  ['1', 'hard-link'],
  ['2', 'symlink'],
  ['3', 'device'],
  ['4', 'device'],
  ['6', 'fifo'],
  ['x', 'pax'],
  ['X', 'pax'],
  ['g', 'pax-global'],
  ['L', 'long-path'],
  ['K', 'long-link'],
]);

const EXTENSIONS: ReadonlySet<HeaderKind> = new Set(['pax', 'pax-global', 'long-path', 'long-link']);

/** Whether a tar can begin with these bytes: a good header, `ustar` in a header, or the zeros of an empty tar. */
export function isTarBlock(head: Uint8Array): boolean {
  const bytes = Buffer.from(head.buffer, head.byteOffset, head.length);
  if (bytes.toString('latin1', 257, 262) === 'ustar') return true;
  if (bytes.length < BLOCK_SIZE) return false;
  return isZero(bytes.subarray(0, BLOCK_SIZE)) || isHeader(bytes.subarray(0, BLOCK_SIZE));
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
  const size = isHeader(block) ? readSize(block) : undefined;
  if (size === undefined || hasHugeNumber(block)) throw corruptHeader(position);
  const flag = String.fromCharCode(block[FLAG] ?? 0);
  const name = text(block, 0, NAME_SIZE);
  // Where other headers have the first part of the path, GNU's sparse files have times.
  const path = extension.path ?? (flag === 'S' ? name : recordedPath(block, name));
  const kind = flag === '\0' && isOldFolder(block, name, path, position) ? 'directory' : KINDS.get(flag);
  if (kind === undefined) throw unsupportedKind(path, flag);
  if (hasNegativeNumber(block)) throw tooOld(kind, path);
  const linkTarget = extension.linkTarget ?? text(block, 157, 100);
  if (EXTENSIONS.has(kind)) return { kind, path, linkTarget, size };
  if (extension.sparse !== undefined) throw unsupportedKind(extension.sparse || path, 'S');
  return { kind, path, linkTarget, size: kind === 'directory' ? 0 : (extension.size ?? size) };
}

/** Old headers mark a folder by the "/" at the end of its own name. Programs disagree where another name says otherwise. */
function isOldFolder(block: Buffer, name: string, path: string, position: number): boolean {
  const isFolder = name.endsWith('/');
  const saysFolder = path.endsWith('/') || block[NAME_SIZE - 1] === SLASH;
  if (isFolder !== saysFolder) throw corruptHeader(position);
  return isFolder;
}

function recordedPath(block: Buffer, name: string): string {
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

/** A field of a header, up to its first NUL. */
function text(block: Buffer, start: number, length: number): string {
  if (block[start] === 0) return '';
  const end = block.indexOf(0, start);
  return decodeName(block.subarray(start, end === -1 ? start + length : Math.min(end, start + length)));
}
