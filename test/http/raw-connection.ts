import { connect, type Socket } from 'node:net';

/** Where to connect. */
export interface Place {
  readonly host: string;
  readonly port: number;
  /** Of the client; the system chooses unless told. */
  readonly localAddress?: string;
}

/** An answer as it came over the wire. */
export interface RawResponse {
  /** `HTTP/1.1` */
  readonly version: string;
  readonly status: number;
  /** In the order and spelling of the wire. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  readonly body: Buffer;
  /** Bytes on the wire: head, body and whatever frames it. */
  readonly bytes: number;
}

export interface RawRequest {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** A client that sends exactly the bytes it is told, and shows exactly the bytes it gets. */
export class RawConnection {
  readonly #socket: Socket;
  readonly #chunks: AsyncIterator<Buffer, undefined>;
  readonly #place: Place;
  #buffer = Buffer.alloc(0);
  #taken = 0;

  private constructor(socket: Socket, place: Place) {
    this.#socket = socket;
    this.#place = place;
    // What nobody waits for must not end the test run; who reads gets the error from the iterator.
    socket.on('error', () => undefined);
    this.#chunks = socket[Symbol.asyncIterator]() as AsyncIterator<Buffer, undefined>;
  }

  static open(place: Place): Promise<RawConnection> {
    return new Promise((resolve, reject) => {
      const socket = connect(place);
      socket.once('error', reject);
      socket.once('connect', () => {
        socket.off('error', reject);
        resolve(new RawConnection(socket, place));
      });
    });
  }

  send(bytes: string | Uint8Array): void {
    this.#socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
  }

  /** Resolves when the system has taken the bytes, or when the connection is lost: to whether it took all. */
  sendAll(bytes: Uint8Array): Promise<boolean> {
    return new Promise((resolve) => {
      this.#socket.write(bytes, (error) => {
        resolve(!error);
      });
    });
  }

  /** Sends a request as HTTP/1.1 with a Host header, and nothing that isn't asked for. */
  request(target: string, { method = 'GET', headers = {}, body = '' }: RawRequest = {}): void {
    const { host, port } = this.#place;
    const lines = Object.entries({ Host: `${host.includes(':') ? `[${host}]` : host}:${port}`, ...headers });
    const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('');
    this.send(`${method} ${target} HTTP/1.1\r\n${head}\r\n${body}`);
  }

  /** Reads the head of the next answer, and leaves its body unread. */
  async head(): Promise<Omit<RawResponse, 'body'>> {
    const before = this.#taken;
    let end: number;
    while ((end = this.#buffer.indexOf('\r\n\r\n')) === -1) {
      if (!(await this.#readMore())) {
        throw new Error(`the connection ended after ${this.#buffer.length} bytes of the head`);
      }
    }
    const [statusLine = '', ...lines] = this.#take(end + 4)
      .toString('latin1')
      .slice(0, -4)
      .split('\r\n');
    const [, version, status] = /^(HTTP\/1\.[01]) (\d{3}) /.exec(statusLine) ?? [];
    if (version === undefined) throw new Error(`not a status line: ${statusLine}`);
    const headers = lines.map((line) => {
      const colon = line.indexOf(':');
      return [line.slice(0, colon), line.slice(colon + 1).trim()] as const;
    });
    return { version, status: Number(status), headers, bytes: this.#taken - before };
  }

  /** Reads the next answer; `method` is that of its request, because an answer to HEAD has no body. */
  async response(method = 'GET'): Promise<RawResponse> {
    const before = this.#taken;
    const head = await this.head();
    const body = await this.#body(method, head);
    return { ...head, body, bytes: this.#taken - before };
  }

  /** Reads `count` bytes and forgets them, as a client that writes to a disk. */
  async discard(count: number): Promise<void> {
    for (let left = count; left > 0;) {
      if (this.#buffer.length === 0 && !(await this.#readMore())) {
        throw new Error(`the connection ended ${left} bytes too early`);
      }
      left -= this.#take(Math.min(left, this.#buffer.length)).length;
    }
  }

  /** What still comes until the server ends the connection. */
  async rest(): Promise<Buffer> {
    while (await this.#readMore());
    return this.#take(this.#buffer.length);
  }

  /** Sends no more, and still listens. */
  end(): void {
    this.#socket.end();
  }

  /** Goes away without a word. */
  destroy(): void {
    this.#socket.destroy();
  }

  /** Goes away so that the other end is told at once: unlike an end, this can't mean that it still listens. */
  reset(): void {
    this.#socket.resetAndDestroy();
  }

  async #body(method: string, { status, headers }: Omit<RawResponse, 'body'>): Promise<Buffer> {
    if (method === 'HEAD' || status === 204 || status === 304) return Buffer.alloc(0);
    const head = { headers };
    if (headerOf(head, 'transfer-encoding') !== undefined) return this.#chunkedBody();
    const length = headerOf(head, 'content-length');
    if (length === undefined) return this.rest();
    return this.#exactly(Number(length));
  }

  async #chunkedBody(): Promise<Buffer> {
    const chunks: Buffer[] = [];
    for (;;) {
      let end: number;
      while ((end = this.#buffer.indexOf('\r\n')) === -1) await this.#exactly(0, this.#buffer.length + 1);
      const size = Number.parseInt(this.#take(end + 2).toString('latin1'), 16);
      chunks.push(await this.#exactly(size));
      await this.#exactly(2);
      if (size === 0) return Buffer.concat(chunks);
    }
  }

  /** Takes `count` bytes, when `atLeast` are there. */
  async #exactly(count: number, atLeast = count): Promise<Buffer> {
    while (this.#buffer.length < atLeast) {
      if (!(await this.#readMore())) {
        throw new Error(`the body ended after ${this.#buffer.length} of ${atLeast} bytes`);
      }
    }
    return this.#take(count);
  }

  async #readMore(): Promise<boolean> {
    const { value } = await this.#chunks.next();
    if (value === undefined) return false;
    this.#buffer = Buffer.concat([this.#buffer, value]);
    return true;
  }

  #take(count: number): Buffer {
    const taken = this.#buffer.subarray(0, count);
    this.#buffer = this.#buffer.subarray(count);
    this.#taken += count;
    return taken;
  }
}

/** The value of a header, whatever the spelling of its name. */
export function headerOf({ headers }: Pick<RawResponse, 'headers'>, name: string): string | undefined {
  return headers.find(([other]) => other.toLowerCase() === name.toLowerCase())?.[1];
}

/**
 * One request on a connection of its own, as the real clients make it.
 * @throws Error when bytes follow that belong to no answer
 */
export async function ask(place: Place, target: string, request: RawRequest = {}): Promise<RawResponse> {
  const connection = await RawConnection.open(place);
  try {
    connection.request(target, { ...request, headers: { Connection: 'close', ...request.headers } });
    return await onlyAnswer(connection, request.method);
  } finally {
    connection.destroy();
  }
}

/** Sends bytes that need not be a request at all, and reads the answer. */
export async function askRaw(place: Place, bytes: string | Uint8Array): Promise<RawResponse> {
  const connection = await RawConnection.open(place);
  try {
    connection.send(bytes);
    return await onlyAnswer(connection);
  } finally {
    connection.destroy();
  }
}

async function onlyAnswer(connection: RawConnection, method?: string): Promise<RawResponse> {
  const response = await connection.response(method);
  const surplus = await connection.rest();
  if (surplus.length > 0) throw new Error(`${surplus.length} bytes follow the answer`);
  return response;
}
