/**
 * A 64-bit ELF program without its table of sections and all that only the table leads to: symbols and debug information, a
 * fifth of Node's. The kernel and the linker read segments. (strip(1) does the same, but knows one architecture.)
 * @throws Error if it is no such program, or a segment reaches beyond its end
 */
export function withoutSymbols(file: Buffer): Buffer {
  if (file.subarray(0, 6).toString('latin1') !== '\x7fELF\x02\x01')
    throw new Error('not a little-endian 64-bit ELF file');
  const start = Number(file.readBigUInt64LE(0x20));
  const size = file.readUInt16LE(0x36);
  const count = file.readUInt16LE(0x38);
  let end = start + size * count;
  for (let index = 0; index < count; index++) {
    const header = start + index * size;
    const offset = Number(file.readBigUInt64LE(header + 0x08));
    end = Math.max(end, offset + Number(file.readBigUInt64LE(header + 0x20)));
  }
  if (end > file.length) throw new Error(`a segment ends at byte ${end} of ${file.length}`);
  const made = Buffer.from(file.subarray(0, end));
  made.writeBigUInt64LE(0n, 0x28); // Where the table of sections is,
  made.writeUInt16LE(0, 0x3c); // how many it has,
  made.writeUInt16LE(0, 0x3e); // and which of them holds their names.
  return made;
}
