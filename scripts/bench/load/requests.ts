import { writeFile } from 'node:fs/promises';
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';

/** A request without a body, as the clients of the bench send it. */
export interface BenchRequest {
  readonly method: 'GET' | 'HEAD';
  readonly path: string;
  /** One more header, such as `Range: bytes=0-99`. */
  readonly header?: string;
}

/** Writes requests for the clients, which take them in turn: a line each, its parts separated by tabs. */
export async function writeRequests(file: string, requests: readonly BenchRequest[]): Promise<string> {
  await writeFile(
    file,
    requests.map(({ method, path, header }) => `${method}\t${path}\t${header ?? ''}\n`).join(''),
  );
  return file;
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
}

/** Sends a request once. */
export function ask(port: number, { method, path, header }: BenchRequest): Promise<Answer> {
  const [name, value] = header?.split(': ', 2) ?? [];
  return new Promise((resolve, reject) => {
    const request = httpRequest({
      ...{ host: '127.0.0.1', port, method, path, timeout: 60_000 },
      headers: name === undefined || value === undefined ? {} : { [name]: value },
    });
    request
      .once('error', reject)
      .once('timeout', () => request.destroy(new Error(`no answer to ${method} ${path}`)));
    request.once('response', (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.once('error', reject);
      response.once('end', () => {
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) });
      });
    });
    request.end();
  });
}

/**
 * A load counts only if it asks for what it should: this looks at the first request's answer.
 * @throws Error when its status is another
 */
export async function expectStatus(
  port: number,
  requests: readonly BenchRequest[],
  expected: number,
): Promise<void> {
  const [first] = requests;
  if (first === undefined) throw new Error('a load without requests');
  const { status } = await ask(port, first);
  if (status !== expected)
    throw new Error(`${first.method} ${first.path} is answered with ${status}, not ${expected}`);
}
