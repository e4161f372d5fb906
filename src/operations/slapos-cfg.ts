/** What goes into the `[networkcache]` section of a node's slapos.cfg. */
export interface NetworkcacheSection {
  /** `http://HOST:PORT` of the cache. */
  readonly url: string;
  /** PEM certificates that the node is to trust. */
  readonly certificates: readonly string[];
  /** Releases that the node must never compile itself; left out when it may. */
  readonly forceUrls?: readonly string[];
  /** File on the node with the certificate of a cache that speaks TLS. */
  readonly caFile?: string;
}

/**
 * The section as text, ready for `>> slapos.cfg` (protocol.md, "Two services"). Python's ConfigParser reads it: lines
 * of a value are indented.
 */
export function formatNetworkcacheSection({
  url,
  certificates,
  forceUrls,
  caFile,
}: NetworkcacheSection): string {
  const lines = [
    '[networkcache]',
    `download-binary-cache-url = ${url}/bcache`,
    `download-binary-dir-url = ${url}/bdir`,
    ...(caFile === undefined ? [] : [`shacache-ca-file = ${caFile}`, `shadir-ca-file = ${caFile}`]),
    ...list('download-from-binary-cache-force-url-list', forceUrls ?? []),
    ...list(
      'signature-certificate-list',
      certificates.flatMap((pem) => pem.trim().split(/\r?\n/)),
    ),
  ];
  return `${lines.join('\n')}\n`;
}

function list(key: string, values: readonly string[]): readonly string[] {
  return values.length === 0 ? [] : [`${key} =`, ...values.map((value) => `  ${value}`)];
}
