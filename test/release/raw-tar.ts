/** A tar made block by block, for what no program writes. */

export interface RawHeader {
  /** In the name field alone, up to 100 bytes. */
  readonly name: string | Buffer;
  /** The type flag; `'0'`, a file, unless told. */
  readonly type?: string;
  readonly target?: string;
  /** Bytes of content that the header tells. */
  readonly size?: number;
  readonly mode?: string | Buffer;
  readonly owner?: string | Buffer;
  readonly time?: string | Buffer;
  readonly prefix?: string;
  /** The text of the checksum field, of the right sum; six digits, NUL, space unless told. */
  readonly checksum?: (sum: number) => string;
}

/** A header block with a right checksum. */
export function rawHeader(header: RawHeader): Buffer {
  const { name, type = '0', target = '', size = 0, prefix = '', checksum = usualChecksum } = header;
  const block = Buffer.alloc(512);
  put(block, name, 0);
  put(block, header.mode ?? '0000755\0', 100);
  put(block, header.owner ?? '0000000\0', 108);
  put(block, '0000000\0', 116);
  put(block, `${size.toString(8).padStart(11, '0')}\0`, 124);
  put(block, header.time ?? '14000000000\0', 136);
  put(block, ' '.repeat(8), 148);
  put(block, type, 156);
  put(block, target, 157);
  put(block, 'ustar\x0000', 257);
  put(block, prefix, 345);
  put(block, checksum(block.reduce((sum, byte) => sum + byte, 0)), 148);
  return block;
}

function usualChecksum(sum: number): string {
  return `${sum.toString(8).padStart(6, '0')}\0 `;
}

function put(block: Buffer, value: string | Buffer, position: number): void {
  block.set(typeof value === 'string' ? Buffer.from(value) : value, position);
}

/** A file. */
export function rawFile(name: string, content: string | Buffer, more: Partial<RawHeader> = {}): Buffer {
  const bytes = Buffer.from(content);
  return Buffer.concat([rawHeader({ name, size: bytes.length, ...more }), toBlocks(bytes)]);
}

/** An extended header, and what stands in the padding behind it. */
export function rawExtension(type: 'x' | 'g' | 'L' | 'K', content: string, padding = ''): Buffer {
  const size = Buffer.byteLength(content);
  return Buffer.concat([
    rawHeader({ name: 'extended', type, size }),
    toBlocks(Buffer.from(content + padding)),
  ]);
}

/** `LENGTH KEYWORD=VALUE\n` */
export function paxRecord(keyword: string, value: string): string {
  const rest = Buffer.byteLength(` ${keyword}=${value}\n`);
  let length = rest + 1;
  while (`${length}`.length + rest !== length) length++;
  return `${length} ${keyword}=${value}\n`;
}

/** Zeros up to the end of a block. */
export function toBlocks(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(-bytes.length & 511)]);
}

export const TAR_END = Buffer.alloc(1024);
