import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { ENVIRONMENT, PROGRAM } from '../cli/command.ts';
import { createAuthority } from '../fixtures/certificate-authority.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { lacks, PLAIN_CURL, run } from '../http/outside-programs.ts';
import { certificateShown } from '../http/tls-connection.ts';

const SYSTEMD = join(import.meta.dirname, '../judges/systemd.py');

type Message = Readonly<Record<string, string>>;

interface Event {
  readonly pid?: number;
  readonly sockets?: readonly (readonly [string, number])[];
  readonly message?: Message;
  readonly monotonic?: number;
  readonly exit?: number;
}

/** `cache serve`, started as systemd starts a service. */
class Service {
  readonly events: Event[] = [];
  stderr = '';
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #ended: Promise<unknown>;

  constructor(options: readonly string[], args: readonly string[], prefix: readonly string[] = []) {
    const child = spawn(
      'python3',
      [
        SYSTEMD,
        ...options,
        '--',
        ...prefix,
        ...PROGRAM,
        'serve',
        '-c',
        join(folder, 'config.ini'),
        '--log-format',
        'text',
        ...args,
      ],
      { cwd: folder, env: ENVIRONMENT, stdio: ['pipe', 'pipe', 'pipe'] },
    );
    this.#child = child;
    createInterface(child.stdout).on('line', (line) => {
      // The output of the service comes the same way.
      if (line.startsWith('{"')) this.events.push(JSON.parse(line) as Event);
    });
    child.stderr.on('data', (text: Buffer) => (this.stderr += text.toString()));
    this.#ended = new Promise((resolve) => child.once('close', resolve));
    onTestFinished(() => this.end());
  }

  async end(): Promise<void> {
    this.#child.stdin.end();
    await this.#ended;
  }

  get messages(): readonly Message[] {
    return this.events.flatMap(({ message }) => (message === undefined ? [] : [message]));
  }

  /** The first event that has it, as soon as it is there. */
  async event(test: (event: Event) => boolean): Promise<Event> {
    await expect.poll(() => this.events.find(test) ?? this.stderr, { interval: 20 }).toBeTypeOf('object');
    return this.events.find(test) ?? {};
  }

  async message(name: string, from = 0): Promise<Message> {
    const has = ({ message }: Event): boolean => message?.[name] !== undefined;
    await expect.poll(() => this.events.slice(from).some(has) || this.stderr, { interval: 20 }).toBe(true);
    return this.events.slice(from).find(has)?.message ?? {};
  }

  async signal(name: NodeJS.Signals): Promise<void> {
    process.kill((await this.event(({ pid }) => pid !== undefined)).pid ?? 0, name);
  }

  async exitCode(): Promise<number | undefined> {
    return (await this.event(({ exit }) => exit !== undefined)).exit;
  }

  /** The ports of the passed sockets. */
  async ports(): Promise<readonly number[]> {
    const { sockets = [] } = await this.event(({ pid }) => pid !== undefined);
    return sockets.map(([, port]) => port);
  }
}

let folder: string;

beforeEach(async () => {
  folder = await temporaryFolder();
  await mkdir(join(folder, 'store', 'bcache'), { recursive: true });
  await configure('');
});

function configure(text: string): Promise<void> {
  return writeFile(join(folder, 'config.ini'), `[store]\npath = store\n${text}`);
}

const LISTEN = ['--listen', '127.0.0.1:0'];

async function health(url: string, ...options: readonly string[]): Promise<string> {
  const { stdout } = await run('curl', [
    ...PLAIN_CURL,
    '-s',
    '-o',
    '/dev/null',
    '-w',
    '%{http_code}',
    ...options,
    `${url}/health`,
  ]);
  return stdout;
}

describe.skipIf(lacks('systemd-notify', 'python3', 'curl'))('a service manager', () => {
  it('hears when the server listens, with where, and when it ends', async () => {
    const service = new Service([], LISTEN);
    const { STATUS = '' } = await service.message('READY');
    const [, url = ''] = /^serving \S+\/store on (http:\S+)$/.exec(STATUS) ?? [];
    expect(await health(url)).toBe('200');
    await service.signal('SIGTERM');
    expect(await service.exitCode()).toBe(0);
    expect(service.messages).toEqual([
      { READY: '1', STATUS },
      { STOPPING: '1', STATUS: 'stopping; running downloads may end' },
    ]);
  });

  it('hears nothing of readiness from a server that can not listen', async () => {
    const service = new Service([], ['--listen', '192.0.2.1:0']);
    expect(await service.exitCode()).toBe(2);
    expect(service.messages).toEqual([]);
  });

  it('hears at SIGHUP that the server reloads, and when it has the new certificate', async () => {
    const authority = await createAuthority(folder, 'site-ca');
    const [before, after] = await Promise.all([authority.issue('old'), authority.issue('new')]);
    const [certificate, key] = [join(folder, 'tls.crt'), join(folder, 'tls.key')];
    await writeFile(certificate, before.certificate);
    await writeFile(key, before.privateKey);
    await configure(`[server]\ntls-certificate = ${certificate}\ntls-key = ${key}\n`);
    const service = new Service([], LISTEN);
    const { STATUS = '' } = await service.message('READY');
    const { hostname, port } = new URL(STATUS.split(' ').at(-1) ?? '');
    for (const [file, text] of [
      [key, after.privateKey],
      [certificate, after.certificate],
    ] as const) {
      await writeFile(`${file}.new`, text);
      await rename(`${file}.new`, file);
    }
    const from = service.events.length;
    await service.signal('SIGHUP');
    await service.message('READY', from);
    expect((await certificateShown({ host: hostname, port: Number(port) })).subject).toBe('CN=new');
    const [reloading, ready] = service.events.slice(from);
    expect(ready?.message).toEqual({ READY: '1' });
    expect(reloading?.message).toEqual({
      RELOADING: '1',
      MONOTONIC_USEC: expect.stringMatching(/^\d+$/) as string,
    });
    // Of the same clock as the manager's, which read it later.
    const late = (reloading?.monotonic ?? 0) - Number(reloading?.message?.['MONOTONIC_USEC']);
    expect(late).toBeGreaterThanOrEqual(0);
    expect(late).toBeLessThan(60e6);
  });

  it('hears at SIGHUP of a server without certificates, which goes on', async () => {
    const service = new Service([], LISTEN);
    const { STATUS = '' } = await service.message('READY');
    await service.signal('SIGHUP');
    await service.message('READY', 2);
    expect(service.messages.slice(1).map((message) => Object.keys(message))).toEqual([
      ['RELOADING', 'MONOTONIC_USEC'],
      ['READY'],
    ]);
    expect(await health(STATUS.split(' ').at(-1) ?? '')).toBe('200');
  });

  it('that has a watchdog hears again and again that the server lives, and nothing while it hangs', async () => {
    const service = new Service(['--watchdog', '200000'], LISTEN);
    const pings = (): number => service.messages.filter((message) => message['WATCHDOG'] === '1').length;
    await expect.poll(pings).toBeGreaterThan(2);
    await service.signal('SIGSTOP');
    // A program that it had started may still tell of the time before.
    let seen = -1;
    await expect
      .poll(
        () => {
          const isSame = seen === pings();
          seen = pings();
          return isSame;
        },
        { interval: 1000 },
      )
      .toBe(true);
    await service.signal('SIGCONT');
    await expect.poll(pings).toBeGreaterThan(seen + 1);
  });

  it('without a watchdog hears nothing of it', async () => {
    const service = new Service([], LISTEN);
    await service.message('READY');
    await service.signal('SIGTERM');
    await service.exitCode();
    expect(service.messages.filter((message) => 'WATCHDOG' in message)).toEqual([]);
  });

  it('is told of in the log if it can not be reached, and the server serves', async () => {
    const service = new Service([], LISTEN, ['env', 'PATH=/nowhere']);
    await expect
      .poll(() => service.stderr)
      .toContain('systemd hears nothing of this server: systemd-notify: ENOENT');
    expect(service.stderr.match(/hears nothing/g)).toHaveLength(1);
    await service.signal('SIGTERM');
    expect(await service.exitCode()).toBe(0);
  });
});

describe.skipIf(lacks('systemd-notify', 'python3', 'curl'))('sockets of a service manager', () => {
  it('are served in place of the configured addresses, all of them', async () => {
    await configure('[server]\nlisten = 192.0.2.1:5050\n');
    const service = new Service(['--socket', 'one.socket=127.0.0.1:0', '--socket', 'http=127.0.0.1:0'], []);
    const { STATUS = '' } = await service.message('READY');
    const ports = await service.ports();
    expect(new Set(ports).size).toBe(2);
    const urls = ports.map((port) => `http://127.0.0.1:${port}`);
    expect(STATUS.endsWith(` on ${urls.join(' ')}`)).toBe(true);
    for (const url of urls) expect(await health(url)).toBe('200');
  });

  it('answer clients who connected before the server was started', async () => {
    const service = new Service(['--socket', 'x=127.0.0.1:0'], []);
    const [port = 0] = await service.ports();
    expect(await health(`http://127.0.0.1:${port}`)).toBe('200');
  });

  it('speak HTTPS or HTTP by their names, and HTTPS under other names if there is a certificate', async () => {
    await configure('[server]\ntls = auto\n');
    const names = ['https', 'http', 'shacache.socket'];
    const service = new Service(
      names.flatMap((name) => ['--socket', `${name}=127.0.0.1:0`]),
      [],
    );
    await service.message('READY');
    const [first, second, third] = await service.ports();
    expect(await health(`https://127.0.0.1:${first}`, '--insecure')).toBe('200');
    expect(await health(`http://127.0.0.1:${second}`)).toBe('200');
    expect(await health(`https://127.0.0.1:${third}`, '--insecure')).toBe('200');
  });

  it.each([
    [
      'https without a certificate',
      ['--socket', 'https=127.0.0.1:0'],
      [],
      'the socket https of systemd requires TLS, which is off',
    ],
    [
      'beside --listen',
      ['--socket', 'x=127.0.0.1:0'],
      LISTEN,
      '--listen: systemd passes the sockets to listen on; leave out the option',
    ],
  ])('are refused in one line: %s', async (_what, options, args, words) => {
    const service = new Service(options, args);
    expect(await service.exitCode()).toBe(2);
    expect(service.stderr.trimEnd().split('\n')).toEqual([expect.stringContaining(words)]);
  });

  it('that are no TCP sockets are refused in one line', async () => {
    const service = new Service(['--unix', `x=${join(folder, 'socket')}`], []);
    expect(await service.exitCode()).toBe(2);
    expect(service.stderr).toBe(
      "cache: can't listen on the socket with file descriptor 3: it is no TCP socket\n",
    );
  });

  it('that another process was started with do not count', async () => {
    const service = new Service(['--foreign', '--socket', 'x=127.0.0.1:0'], LISTEN);
    const { STATUS = '' } = await service.message('READY');
    const [port] = await service.ports();
    expect(STATUS).not.toContain(`:${port}`);
  });
});
