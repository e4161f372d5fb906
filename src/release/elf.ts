/** The parsed ELF header of a program (elf(5)). */
export interface ElfHeader {
  /** The output of `gcc -dumpmachine` on its machine; undefined for an unknown machine. */
  readonly multiarch: string | undefined;
  /** A program or shared object, not a relocatable object or a core dump. */
  readonly linked: boolean;
  /**
   * Linked with shared libraries, as programs of a system are. Firmware, which software for virtual machines contains, is
   * not.
   */
  readonly dynamic: boolean;
}

/** The ELF header of any class. */
const ELF_HEADER_SIZE = 64;
/** Bytes of a file's start that hold the ELF header and the program headers of usual programs behind it. */
export const ELF_START_SIZE = 1024;
const PT_DYNAMIC = 2;

const ET_EXEC = 2;
const ET_DYN = 3;
const EF_ARM_ABI_FLOAT_SOFT = 0x200;
const EF_ARM_ABI_FLOAT_HARD = 0x400;
const EF_MIPS_ABI2 = 0x20;
const EM_MIPS = 8;
const EM_ARM = 40;

/** `EM_…`, the class in bits, the byte order: the multiarch. */
const MULTIARCHS: Readonly<Record<string, string>> = {
  '3 32 little': 'i686-linux-gnu',
  '8 32 big': 'mips-linux-gnu',
  '8 32 little': 'mipsel-linux-gnu',
  '8 64 little': 'mips64el-linux-gnuabi64',
  '20 32 big': 'powerpc-linux-gnu',
  '21 64 big': 'powerpc64-linux-gnu',
  '21 64 little': 'powerpc64le-linux-gnu',
  '22 32 big': 's390-linux-gnu',
  '22 64 big': 's390x-linux-gnu',
  '43 64 big': 'sparc64-linux-gnu',
  '62 32 little': 'x86_64-linux-gnux32',
  '62 64 little': 'x86_64-linux-gnu',
  '183 64 big': 'aarch64_be-linux-gnu',
  '183 64 little': 'aarch64-linux-gnu',
  '243 32 little': 'riscv32-linux-gnu',
  '243 64 little': 'riscv64-linux-gnu',
  '258 64 little': 'loongarch64-linux-gnu',
};

/** The ELF header at the start of a file, undefined when there is none. */
export function parseElfHeader(start: Buffer): ElfHeader | undefined {
  if (start.length < ELF_HEADER_SIZE || start.toString('latin1', 0, 4) !== '\x7fELF') return undefined;
  const bits = start[4] === 1 ? 32 : start[4] === 2 ? 64 : undefined;
  const order = start[5] === 1 ? 'little' : start[5] === 2 ? 'big' : undefined;
  // System V or Linux; programs for FreeBSD don't count.
  if (bits === undefined || order === undefined || (start[7] !== 0 && start[7] !== 3)) return undefined;
  const uint16 = (offset: number): number =>
    order === 'little' ? start.readUInt16LE(offset) : start.readUInt16BE(offset);
  const uint32 = (offset: number): number =>
    order === 'little' ? start.readUInt32LE(offset) : start.readUInt32BE(offset);
  const flags = uint32(bits === 32 ? 0x24 : 0x30);
  const type = uint16(16);
  const machine = uint16(18);
  return {
    multiarch: multiarchOf(machine, bits, order, flags),
    linked: type === ET_EXEC || type === ET_DYN,
    dynamic: hasDynamicSegment(start, bits, uint16, uint32),
  };
}

/** Reads those program headers that are in the start of the file. */
function hasDynamicSegment(
  start: Buffer,
  bits: 32 | 64,
  uint16: (offset: number) => number,
  uint32: (offset: number) => number,
): boolean {
  // The upper half of a 64 bit offset is 0: the headers are near.
  const littleEndian = start[5] === 1;
  const offset = bits === 32 ? uint32(0x1c) : uint32(littleEndian ? 0x20 : 0x24);
  const size = uint16(bits === 32 ? 0x2a : 0x36);
  const count = uint16(bits === 32 ? 0x2c : 0x38);
  // With headers of size 0 the file could claim any number of them.
  if (size < 4) return false;
  for (let index = 0; index < count; index++) {
    const at = offset + index * size;
    if (at + 4 > start.length) return false;
    if (uint32(at) === PT_DYNAMIC) return true;
  }
  return false;
}

function multiarchOf(
  machine: number,
  bits: 32 | 64,
  order: 'little' | 'big',
  flags: number,
): string | undefined {
  if (machine === EM_ARM && order === 'little') {
    if (flags & EF_ARM_ABI_FLOAT_HARD) return 'arm-linux-gnueabihf';
    return flags & EF_ARM_ABI_FLOAT_SOFT ? 'arm-linux-gnueabi' : undefined;
  }
  if (machine === EM_MIPS && flags & EF_MIPS_ABI2) return undefined;
  return MULTIARCHS[`${machine} ${bits} ${order}`];
}
