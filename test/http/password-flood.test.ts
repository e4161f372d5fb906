import { writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect, it } from 'vitest';
import { ask } from './raw-connection.ts';
import { ServeProcess } from './serve-process.ts';

/** Of bcrypt with cost 16: some seconds for each look. */
const SLOW = '$2b$16$jxikLkGbiGP/yawlU3e1kuljemsbUEbVRPMqLroaAth5ZhqO95j2W';
/** Of apr1, "one", which is quick. */
const QUICK = '$apr1$eB6.gAwN$9y/GkscnK3tH8JFLzhGSJ1';

const basic = (name: string, password: string): Readonly<Record<string, string>> => ({
  Authorization: `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`,
});

async function serve(): Promise<ServeProcess> {
  return ServeProcess.start({
    config: '[access]\nhtpasswd-file = htpasswd\nupload-users = builder\n',
    prepare: (root) => writeFile(join(dirname(root), 'htpasswd'), `slow:${SLOW}\nbuilder:${QUICK}\n`),
  });
}

it(
  'passwords that take seconds to check hold up neither readers nor who is known already',
  { timeout: 300_000 },
  async () => {
    const place = { host: '127.0.0.1', port: await (await serve()).port() };
    const upload = (headers: Readonly<Record<string, string>>) =>
      ask(place, '/bcache', { method: 'POST', headers: { 'Content-Length': '1', ...headers }, body: 'x' });
    expect((await upload(basic('builder', 'pässwörd'))).status).toBe(201);

    const ended: string[] = [];
    const guesses = ['a', 'b', 'c'].map(async (guess) => {
      const { status } = await upload(basic('slow', guess)).catch(() => ({ status: 0 }));
      ended.push(`guess: ${status}`);
    });
    for (let count = 0; count < 100; count++) {
      expect((await ask(place, '/health')).status).toBe(200);
      expect((await ask(place, `/bdir/${'0'.repeat(32)}`)).status).toBe(404);
    }
    expect((await upload(basic('builder', 'pässwörd'))).status).toBe(201);
    ended.push('readers');
    await Promise.race(guesses);
    expect(ended).toEqual(['readers', 'guess: 401']);
  },
);
