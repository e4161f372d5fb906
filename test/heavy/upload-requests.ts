import fc from 'fast-check';
import { digestOf } from '../../src/cache/digest.ts';
import { keyOfSoftwareUrl } from '../../src/cache/key.ts';
import { membersOf } from '../fixtures/entries.ts';
import { chunk } from '../http/upload-client.ts';

/** A blob that entries may name, to be uploaded first. */
export const BLOB_THERE = 'there';

/** Bytes as characters, so that what failed can be read. */
const latin1 = fc.string({ unit: fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code)) });
const lineText = fc.string({
  unit: fc.oneof(
    { weight: 20, arbitrary: fc.integer({ min: 33, max: 126 }).map((code) => String.fromCharCode(code)) },
    fc.constantFrom(' ', '\t', '\0', '\x7f', 'é', 'ÿ', '%'),
  ),
});
const nastyName = fc.oneof(
  lineText,
  fc.constantFrom(
    ...[
      '',
      '.',
      '..',
      '../..',
      '%2e%2e',
      '%2e%2e%2fx',
      '..%2f..%2fx',
      '%00',
      'a:..',
      'a:b/../../x',
      'x:%2e%2e',
    ],
    ...[
      '/etc/passwd',
      '//x',
      '\\..\\x',
      'tmp',
      'store.json',
      '%',
      '%zz',
      '%ff',
      'a:%c3%28',
      'con:x',
      'a:b.',
      'a:.',
    ],
  ),
  fc.tuple(fc.stringMatching(/^[a-z]{1,8}$/), lineText).map(([scheme, rest]) => `${scheme}:${rest}`),
  fc.stringMatching(/^[0-9a-f]{32}$/),
  fc.stringMatching(/^[0-9a-fA-F]{120,136}$/),
);

const maybeNasty = fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, nastyName);

/** Good or nearly good; the others are hopeless. */
const goodEntry = fc
  .record({
    url: fc.webUrl(),
    content: fc.oneof({ weight: 4, arbitrary: fc.constant(BLOB_THERE) }, fc.constant('not there')),
    changes: fc.dictionary(
      fc.oneof(
        fc.constantFrom('sha512', 'software_url', 'url', 'os', 'machine', 'size', '__proto__'),
        fc.string(),
      ),
      fc.jsonValue(),
      { maxKeys: 2 },
    ),
    signature: fc.oneof({ weight: 3, arbitrary: fc.constant('') }, fc.base64String(), fc.string()),
  })
  .map(({ url, content, changes, signature }) => ({
    key: keyOfSoftwareUrl(url),
    text: JSON.stringify([
      JSON.stringify({ ...membersOf(url, { sha512: digestOf(content) }), ...changes }),
      signature,
    ]),
  }));

const entryBody = fc.oneof(
  { weight: 4, arbitrary: goodEntry },
  fc.json().map((text) => ({ key: 'a:b', text })),
  fc.tuple(fc.json(), fc.string()).map((pair) => ({ key: 'a:b', text: JSON.stringify(pair) })),
  latin1.map((text) => ({ key: 'a:b', text })),
  fc
    .integer({ min: 65_000, max: 70_000 })
    .map((size) => ({ key: 'a:b', text: `["${'x'.repeat(size)}",""]` })),
);

const blobBody = fc.oneof(
  latin1,
  fc.integer({ min: 0, max: 120_000 }).map((size) => 'x'.repeat(size)),
);

const message = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.tuple(entryBody, maybeNasty).map(([{ key, text }, name]) => ({
      target: `/bdir/${name ?? key}`,
      body: Buffer.from(text, 'utf8').toString('latin1'),
      method: 'PUT',
    })),
  },
  fc.tuple(blobBody, maybeNasty).map(([body, name]) => ({
    target: `/bcache/${name ?? digestOf(Buffer.from(body, 'latin1'))}`,
    body,
    method: 'PUT',
  })),
  blobBody.map((body) => ({ target: '/bcache', body, method: 'POST' })),
  fc.record({
    target: lineText.map((text) => `/${text}`),
    body: latin1,
    method: fc.constantFrom('PUT', 'POST'),
  }),
);

/** How the body is framed; what is told of its length is often a lie. */
const framing = fc.oneof(
  { weight: 6, arbitrary: fc.constant({ headers: [] as string[], frame: 'length' as const, lie: 0 }) },
  {
    weight: 6,
    arbitrary: fc.constant({ headers: ['Transfer-Encoding: chunked'], frame: 'chunks' as const, lie: 0 }),
  },
  fc
    .integer({ min: -50, max: 200_000 })
    .map((lie) => ({ headers: [] as string[], frame: 'length' as const, lie })),
  fc
    .oneof(
      fc.constantFrom('-1', '1e3', '0x10', '', ' ', '5,5', '9007199254740993', '18446744073709551617'),
      lineText,
    )
    .map((length) => ({ headers: [`Content-Length: ${length}`], frame: 'raw' as const, lie: 0 })),
  fc
    .constantFrom('chunked', 'gzip, chunked', 'chunked, chunked', 'identity', 'xchunked', ' chunked')
    .map((coding) => ({ headers: [`Transfer-Encoding: ${coding}`], frame: 'raw' as const, lie: 0 })),
  fc.constant({
    headers: ['Transfer-Encoding: chunked', 'Content-Length: 3'],
    frame: 'raw' as const,
    lie: 0,
  }),
);

const moreHeaders = fc.array(
  fc.oneof(
    { weight: 10, arbitrary: fc.constant('X: y') },
    fc.constantFrom(
      'Expect: 100-continue',
      'Expect: x',
      'Connection: close',
      'Connection: keep-alive',
      'Upgrade: x',
    ),
    fc.constantFrom(
      'Content-Type: application/json',
      'Content-Encoding: gzip',
      'Range: bytes=0-1',
      'Host: y',
    ),
    fc.tuple(fc.stringMatching(/^[A-Za-z-]{1,12}$/), lineText).map(([name, value]) => `${name}: ${value}`),
    lineText.map((value) => `Authorization: ${value}`),
    lineText,
  ),
  { maxLength: 3 },
);

/** A request to upload something, good or bad. */
export const uploadRequest = fc.record({
  /** In place of the right one. */
  method: fc.oneof(
    { weight: 10, arbitrary: fc.constant(undefined) },
    fc.constantFrom('PUT', 'POST', 'GET', 'HEAD', 'DELETE', 'PATCH'),
  ),
  message,
  framing,
  moreHeaders,
  version: fc.oneof({ weight: 10, arbitrary: fc.constant('1.1') }, fc.constantFrom('1.0', '2.0', '1.2')),
  /** Where the bytes are cut: they arrive in two pieces. */
  cut: fc.double({ min: 0, max: 1, noNaN: true }),
  /** Whether the client goes away after the first piece. */
  leaves: fc.oneof({ weight: 9, arbitrary: fc.constant(false) }, fc.constant(true)),
});

export type UploadRequest = typeof uploadRequest extends fc.Arbitrary<infer T> ? T : never;

/** As it goes over the wire. */
export function bytesOf({
  method,
  message: { target, body, method: usual },
  framing: { headers, frame, lie },
  moreHeaders: more,
  version,
}: UploadRequest): Buffer {
  const bytes = Buffer.from(body, 'latin1');
  const length = frame === 'length' ? [`Content-Length: ${Math.max(0, bytes.length + lie)}`] : [];
  const half = bytes.length >> 1;
  const framed =
    frame === 'chunks'
      ? Buffer.concat([
          ...[bytes.subarray(0, half), bytes.subarray(half)]
            .filter(({ length: size }) => size > 0)
            .map(chunk),
          chunk(''),
        ])
      : bytes;
  const head = [
    `${method ?? usual} ${target} HTTP/${version}`,
    'Host: x',
    ...headers,
    ...length,
    ...more,
    '',
    '',
  ];
  return Buffer.concat([Buffer.from(head.join('\r\n'), 'latin1'), framed]);
}

/** Whether all is there that the head promises, so that an answer must come. */
export function isWhole({ framing: { frame, lie } }: UploadRequest): boolean {
  return frame === 'chunks' || (frame === 'length' && lie === 0);
}
