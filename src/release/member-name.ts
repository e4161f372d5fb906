import { isUtf8 } from 'node:buffer';

/**
 * Decodes a name in a tar as UTF-8. If it is no UTF-8, each byte above 127 becomes a lone surrogate, as in Python, so that
 * different bytes give different names.
 */
export function decodeName(bytes: Buffer): string {
  const text = bytes.toString('utf8');
  if (!text.includes('\uFFFD') || isUtf8(bytes)) return text;
  return bytes
    .toString('latin1')
    .replace(/[\u0080-\u00ff]/g, (byte) => String.fromCharCode(0xdc00 + byte.charCodeAt(0)));
}

/** Bytes of a name of `decodeName` on the disk of a node. */
export function sizeOfName(name: string): number {
  return name.isWellFormed() ? Buffer.byteLength(name) : name.length;
}
