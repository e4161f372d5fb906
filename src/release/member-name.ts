import { isUtf8 } from 'node:buffer';

/**
 * The text of a name in a tar: UTF-8, or where it is none, with a lone surrogate for each byte above 127, a trick of
 * Python's. So two names are the same text only if they are the same bytes, as on the disk of a node.
 */
export function decodeName(bytes: Buffer): string {
  const text = bytes.toString('utf8');
  if (!text.includes('\uFFFD') || isUtf8(bytes)) return text;
  return bytes
    .toString('latin1')
    .replace(/[\u0080-\u00ff]/g, (byte) => String.fromCharCode(0xdc00 + byte.charCodeAt(0)));
}

/** How many bytes a name of `decodeName` has on the disk of a node. */
export function sizeOfName(name: string): number {
  return name.isWellFormed() ? Buffer.byteLength(name) : name.length;
}
