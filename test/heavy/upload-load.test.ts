import { execFile } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { digestOf, type Digest } from '../../src/cache/digest.ts';
import { incompressible } from '../fixtures/software-release.ts';
import { say } from '../http/outside-programs.ts';
import { ServeProcess } from '../http/serve-process.ts';
import { temporaryFiles, upload } from '../http/upload-client.ts';

const MIB = 1024 * 1024;
const UPLOADS = process.env['SHACACHE_HEAVY'] ? 200 : 40;
const CLIENTS = 20;

describe('many uploads at once', () => {
  it(
    'of 8 MiB are all there afterwards, and take less than 250 MiB of memory',
    { timeout: 300_000 },
    async () => {
      const serve = await ServeProcess.start({
        config: '[access]\nanonymous = upload\n[upload]\nmin-free-space = 0\n',
      });
      const place = { host: '127.0.0.1', port: await serve.port() };
      const content = incompressible(8 * MIB);
      const digests: Digest[] = [];
      const begin = performance.now();
      let next = 0;
      const client = async (): Promise<void> => {
        while (next < UPLOADS) {
          const own = Buffer.from(content);
          own.writeUInt32BE(next++);
          const digest = digestOf(own);
          const { status, body } = await upload(place, own);
          expect(body.toString('latin1')).toBe(digest);
          expect(status).toBe(201);
          digests.push(digest);
        }
      };
      await Promise.all(Array.from({ length: CLIENTS }, client));
      const seconds = (performance.now() - begin) / 1000;

      expect(new Set(digests).size).toBe(UPLOADS);
      const sums = join(serve.root, '../SHA512SUMS');
      await writeFile(sums, digests.map((digest) => `${digest}  ${digest}\n`).join(''));
      await promisify(execFile)('sha512sum', ['--check', '--strict', '--quiet', sums], {
        cwd: join(serve.root, 'bcache'),
      });
      // The running server tries now and then whether it can write.
      await expect.poll(() => temporaryFiles(serve.root)).toEqual([]);

      const peak = await serve.peakMemory();
      say(
        `${UPLOADS} uploads of 8 MiB from ${CLIENTS} clients: ${seconds.toFixed(1)} s, at most ${(peak / MIB).toFixed(0)} MiB of memory`,
      );
      expect(peak).toBeGreaterThan(0);
      expect(peak).toBeLessThan(250 * MIB);
    },
  );
});
