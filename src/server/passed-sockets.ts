import { CacheError } from '../cache/errors.ts';
import type { ListenAddress } from '../config/listen-address.ts';

/** A socket that listens already: systemd made it, and starts this process with it. */
export interface PassedSocket extends Pick<ListenAddress, 'scheme'> {
  /** The file descriptor. */
  readonly fd: number;
}

/** The first descriptor that systemd passes (`SD_LISTEN_FDS_START` of sd_listen_fds(3)). */
const FIRST = 3;

/**
 * The sockets that systemd passes to this process, as sd_listen_fds_with_names(3) reads them. The name `http` or `https`
 * (`FileDescriptorName=` of the socket unit) chooses the scheme.
 * @param tls whether the server has a certificate; then sockets with another name use HTTPS
 * @throws CacheError `usage`
 */
export function passedSockets(
  env: Readonly<Record<string, string | undefined>>,
  { tls }: { readonly tls: boolean },
): readonly PassedSocket[] {
  const { LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES = '' } = env;
  // A process that systemd started may have started this one, with the variables but without the sockets.
  if (LISTEN_PID !== String(process.pid)) return [];
  const names = LISTEN_FDNAMES.split(':');
  return Array.from({ length: Number(LISTEN_FDS) }, (_, index) => {
    const name = names[index] ?? '';
    if (name === 'https' && !tls)
      throw new CacheError(
        'usage',
        'the socket https of systemd requires TLS, which is off; set tls = auto, or tls-certificate and tls-key, or name the socket http',
      );
    const scheme = name === 'http' || name === 'https' ? name : tls ? 'https' : 'http';
    return { fd: FIRST + index, scheme };
  });
}
