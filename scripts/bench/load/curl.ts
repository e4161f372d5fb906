import { execute } from '../process/execute.ts';
import type { LoadResult } from './load-result.ts';

export interface CurlOptions {
  readonly signal: AbortSignal;
  /** More arguments. */
  readonly args?: readonly string[];
}

/** The cipher of the HTTPS case, the first choice of OpenSSL: asked for, so that both servers use the same. */
export const TLS13_CIPHER = 'TLS_AES_256_GCM_SHA384';

/** Whatever ~/.curlrc and the proxies of the machine are. */
const PLAIN = ['-q', '--noproxy', '*', '--silent', '--show-error', '--fail', '--max-time', '300'] as const;

/**
 * Downloads a URL to nowhere, `times` times over one connection.
 * @param size of what must come each time, in bytes
 */
export async function download(
  url: string,
  size: number,
  times: number,
  { signal, args = [] }: CurlOptions,
): Promise<LoadResult> {
  const { stdout, cpuSeconds } = await execute(
    'curl',
    [
      ...PLAIN,
      ...['--write-out', '%{size_download} %{time_total}\n', ...args],
      ...Array.from({ length: times }, () => ['--output', '/dev/null', url]).flat(),
    ],
    { signal, limitSeconds: 330 },
  );
  const transfers = stdout
    .trim()
    .split('\n')
    .map((line) => line.split(' ').map(Number));
  const bytes = transfers.reduce((sum, [received = 0]) => sum + received, 0);
  if (bytes !== size * times) throw new Error(`curl got ${bytes} bytes of ${url}, not ${size * times}`);
  const seconds = transfers.reduce((sum, [, time = 0]) => sum + time, 0);
  return { bytes, requests: times, seconds, clientCpuSeconds: cpuSeconds };
}

/** Uploads a file with POST; the answer must be 201 with `expected`, its sha512. @param size of the file in bytes */
export async function upload(
  url: string,
  file: string,
  { size, expected, signal }: { size: number; expected: string; signal: AbortSignal },
): Promise<LoadResult> {
  const { stdout, cpuSeconds } = await execute(
    'curl',
    [
      ...[
        ...PLAIN,
        '--request',
        'POST',
        '--upload-file',
        file,
        '--write-out',
        '\n%{http_code} %{time_total}',
        url,
      ],
    ],
    { signal, limitSeconds: 330 },
  );
  const [digest, end = ''] = stdout.trim().split('\n');
  const [status, seconds] = end.split(' ');
  if (digest !== expected || status !== '201')
    throw new Error(`POST to ${url} was answered with ${status ?? 'nothing'}: ${digest ?? ''}`);
  return { bytes: size, requests: 1, seconds: Number(seconds), clientCpuSeconds: cpuSeconds };
}
