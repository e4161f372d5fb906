import { readFileSync } from 'node:fs';

const MIB = 1024 * 1024;
/** What the programs themselves hold, besides the kernel. */
const RESERVE = 8 * MIB;

/** The most bytes of one connection that can be on their way, in the sockets of both ends (tcp(7)) and in the programs. */
export function mostHeld(): number {
  return largestBuffer('tcp_rmem') + largestBuffer('tcp_wmem') + RESERVE;
}

function largestBuffer(name: 'tcp_rmem' | 'tcp_wmem'): number {
  const [, , most = ''] = readFileSync(`/proc/sys/net/ipv4/${name}`, 'utf8').trim().split(/\s+/);
  return Number(most);
}
