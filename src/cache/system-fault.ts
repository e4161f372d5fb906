import { userInfo } from 'node:os';
import { getSystemErrorMap } from 'node:util';

/** The meaning of a failed system call. */
export interface SystemFault {
  /** What failed. */
  readonly reason: string;
  /** What to do. */
  readonly advice?: string;
  /** `full`: the disk takes no more bytes. `loss`: bytes, or the metadata that lead to them, are lost. */
  readonly kind?: 'full' | 'loss';
}

const FREE_SOME = 'free some and try again';
const KERNEL_LOG = 'look at the kernel log';
const GONE: SystemFault = { reason: 'the disk is gone', advice: 'plug it in and mount it again' };
const FAILING: SystemFault = { kind: 'loss', reason: 'the disk fails', advice: KERNEL_LOG };
const DAMAGED: SystemFault = {
  kind: 'loss',
  reason: 'the file system is damaged',
  advice: `${KERNEL_LOG}, check it with fsck`,
};

const FAULTS: Readonly<Record<string, SystemFault>> = {
  ENOSPC: { kind: 'full', reason: 'no room is left on the disk', advice: FREE_SOME },
  EDQUOT: { kind: 'full', reason: "the user's quota on the disk is used up", advice: FREE_SOME },
  EROFS: { reason: 'the file system is mounted read-only', advice: 'mount it to be written to' },
  EFBIG: { reason: 'this file system takes no file that large' },
  EXDEV: {
    reason: 'a folder of the store is on another file system than the rest',
    advice: "put the whole store on one: mount the disk at the store's own folder",
  },
  ENOENT: { reason: 'no such file or folder' },
  ENOTDIR: { reason: 'a part of the path is not a folder' },
  EISDIR: { reason: 'it is a folder' },
  ELOOP: { reason: 'too many symbolic links' },
  ESTALE: { reason: 'the network file system has lost sight of it', advice: 'mount it again' },
  ENODEV: GONE,
  ENXIO: GONE,
  ENOMEDIUM: GONE,
  EIO: FAILING,
  EREMOTEIO: FAILING,
  ENODATA: FAILING,
  EHWPOISON: { kind: 'loss', reason: 'its page of memory is bad', advice: KERNEL_LOG },
  EUCLEAN: DAMAGED,
  EBADMSG: DAMAGED,
};

/** The meaning of a code such as `ENOSPC`; undefined if it is unknown. */
export function systemFault(code: string): SystemFault | undefined {
  if (code === 'EACCES' || code === 'EPERM')
    return {
      reason: `permission denied for the user ${userName()}`,
      advice: 'run the command as the owner, or as root',
    };
  const [, reason] = [...getSystemErrorMap().values()].find(([name]) => name === code) ?? [];
  return FAULTS[code] ?? (reason === undefined ? undefined : { reason });
}

/** The user who runs this program. */
export function userName(): string {
  try {
    return userInfo().username;
  } catch {
    return `uid ${process.getuid?.() ?? ''}`; // A container often has no name for its user.
  }
}
