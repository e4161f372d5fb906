import type { ServerResponse } from 'node:http';
import { describe, expect, it } from 'vitest';
import { openStore } from '../../src/storage/open-store.ts';
import type { Store } from '../../src/cache/store.ts';
import { collect } from '../fixtures/collect.ts';
import { expectCacheError } from '../fixtures/expected-error.ts';
import { startScriptedServer } from '../fixtures/scripted-server.ts';

const MARK = '{"format": 1}';
const MIB = 1024 ** 2;

/** A store at a service that answers each list with `list`. */
async function openHostile(list: (response: ServerResponse) => void): Promise<Store> {
  const { url } = await startScriptedServer((request, response) => {
    const range = `bytes 0-${MARK.length - 1}/${MARK.length}`;
    if (request.url?.includes('/store.json') === true)
      response.writeHead(206, { ETag: '"a"', 'Content-Range': range }).end(MARK);
    else list(response);
  });
  const access = { endpoint: url, key: { id: 'a', secret: 'b' } };
  return openStore('s3://bucket/p', { mode: 'read', access });
}

function page(...parts: readonly string[]): string {
  return `<ListBucketResult>${parts.join('')}</ListBucketResult>`;
}

const key = (name: string): string => `<Contents><Key>${name}</Key></Contents>`;
const next = (token: string): string =>
  `<IsTruncated>true</IsTruncated><NextContinuationToken>${token}</NextContinuationToken>`;

/** Sends bytes until the other side goes away. */
function flood(response: ServerResponse, bytes: Buffer): void {
  const fill = (): void => {
    while (response.write(bytes));
    response.once('drain', fill);
  };
  fill();
}

describe('an S3 service', () => {
  it.each([200, 400, 500])('whose answer %d does not end is given up', async (status) => {
    const { directory } = await openHostile((response) => {
      response.writeHead(status);
      response.write('<ListBucketResult>');
      flood(response, Buffer.alloc(MIB, key('p/bdir/0')));
    });
    await expectCacheError(
      collect(directory.keys()),
      'storage',
      /can't list bdir\/ of s3:\/\/bucket\/p: http:\S+ answered with more than 16 MiB; is \[store\] endpoint right\?$/,
    );
  });

  it('whose answer announces too much is given up', async () => {
    const { directory } = await openHostile((response) => {
      flood(response.writeHead(200, { 'Content-Length': String(100 * 1024 * MIB) }), Buffer.alloc(MIB));
    });
    await expectCacheError(collect(directory.keys()), 'storage', /answered with more than 16 MiB/);
  });

  it('whose list begins again is given up', async () => {
    const { directory } = await openHostile((response) => response.end(page(next('x'))));
    await expectCacheError(
      collect(directory.keys()),
      'storage',
      /can't list bdir\/ of s3:\/\/bucket\/p: http:\S+ answered with the same page again$/,
    );
  });

  it.each(['p/log/x', 'x', 'p/../../etc/passwd', ''])(
    'that lists %j, which was not asked for, is given up',
    async (name) => {
      const { directory } = await openHostile((response) => response.end(page(key(name))));
      await expectCacheError(
        collect(directory.keys()),
        'storage',
        /answered with a name of another place: ".*"$/,
      );
    },
  );

  it('cannot have a name become a program of the terminal, or grow', async () => {
    const entities = ['<!DOCTYPE l [<!ENTITY a "aaaaaaaaaa">'];
    for (let index = 0; index < 8; index++)
      entities.push(`<!ENTITY ${'bcdefghi'.charAt(index)} "${`&${'abcdefgh'.charAt(index)};`.repeat(10)}">`);
    const { directory } = await openHostile((response) =>
      response.end(`${entities.join('')}]>${page(key('p/bdir/&i;'))}`),
    );
    expect(await collect(directory.keys())).toEqual([]);
  });
});
