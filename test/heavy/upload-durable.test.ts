import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { digestOf } from '../../src/cache/digest.ts';
import { keyOfSoftwareUrl } from '../../src/cache/key.ts';
import { membersOf, RAPID_CDN } from '../fixtures/entries.ts';
import { attachStrace } from '../fixtures/system-calls.ts';
import { temporaryFolder } from '../fixtures/temporary-folder.ts';
import { lacks } from '../http/outside-programs.ts';
import { ServeProcess } from '../http/serve-process.ts';
import { upload } from '../http/upload-client.ts';

describe.skipIf(lacks('strace'))('an upload that was answered', () => {
  it('is on the disk: file, name and every folder that was made, before the answer goes out', async (context) => {
    const serve = await ServeProcess.start({
      folder: await temporaryFolder(),
      config: '[access]\nanonymous = upload\n[upload]\nallow-unsigned = true\nmin-free-space = 0\n',
    });
    const place = { host: '127.0.0.1', port: await serve.port() };
    const strace = await attachStrace(context, serve.pid);
    const content = 'content of a blob';
    const sha512 = digestOf(content);
    const key = keyOfSoftwareUrl(RAPID_CDN);
    const entry = JSON.stringify([JSON.stringify(membersOf(RAPID_CDN, { sha512 })), '']);
    expect((await upload(place, content)).status).toBe(201);
    expect((await upload(place, entry, { method: 'PUT', target: `/bdir/${key}` })).status).toBe(201);

    // Words in the order of what happened; a retry or a log line in between doesn't matter. The store's folder is synced for
    // the name of bcache, for that of custody.log, and for that of bdir.
    const [bcache, bdir] = [join(serve.root, 'bcache'), join(serve.root, 'bdir')];
    const patterns: readonly (readonly [string, RegExp])[] = [
      ['content ', new RegExp(`^f(data)?sync\\(\\d+<${serve.root}/tmp/[^>]*>\\) += 0`)],
      ['blob-name ', new RegExp(`^rename.*"${bcache}/${sha512.slice(0, 8)}.* = 0`)],
      ['entry-name ', new RegExp(`^link.*"${bdir}/${key}/.* = 0`)],
      ['bcache ', new RegExp(`^fsync\\(\\d+<${bcache}>\\) += 0`)],
      ['key ', new RegExp(`^fsync\\(\\d+<${bdir}/${key}>\\) += 0`)],
      ['bdir ', new RegExp(`^fsync\\(\\d+<${bdir}>\\) += 0`)],
      ['store ', new RegExp(`^fsync\\(\\d+<${serve.root}>\\) += 0`)],
      ['record-name ', new RegExp(`^rename.*"${serve.root}/log/.* = 0`)],
      ['log ', new RegExp(`^fsync\\(\\d+<${serve.root}/log>\\) += 0`)],
      ['answer ', /^writev?\(.*HTTP\/1\.1 201/],
    ];
    const seen = (await strace.end()).flatMap((call) =>
      patterns.filter(([, pattern]) => pattern.test(call)).map(([name]) => name),
    );
    expect(seen.join('')).toBe(
      'content blob-name bcache store content record-name log store answer ' +
        'content entry-name key bdir store content record-name log answer ',
    );
  });
});
