import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseHtpasswd } from '../src/access/htpasswd.ts';
import { bindDnOf } from '../src/access/ldap-name.ts';
import { networkOf } from '../src/access/network.ts';
import { parsePasswordHash } from '../src/access/password-hash.ts';
import { parseBucketUrl } from '../src/cache/bucket-url.ts';
import { certificateBlocks } from '../src/cache/certificate.ts';
import { quoteForShell } from '../src/cache/shell.ts';
import { createStoreLog } from '../src/cache/store-log.ts';
import { parseTime } from '../src/cache/time.ts';
import { quoteBriefly } from '../src/cache/digest.ts';
import { madeAt, parseEntry, parseEntryText, withoutLineBreaks } from '../src/cache/entry.ts';
import { CacheError } from '../src/cache/errors.ts';
import { folderNameOf, parseKey } from '../src/cache/key.ts';
import { CUSTODY_FILE, digestOfBlobName, parseEntryName, parsePartName } from '../src/cache/layout.ts';
import { nearest } from '../src/cache/nearest.ts';
import { parseOs, parseOsTuple } from '../src/cache/platform.ts';
import { parseSystem } from '../src/cache/system.ts';
import { withoutPasswords } from '../src/cli/url-option.ts';
import { formatTable } from '../src/cli/terminal/table.ts';
import { wrapFor } from '../src/cli/terminal/wrap.ts';
import { withoutControls } from '../src/cache/controls.ts';
import { parseCertificateList } from '../src/config/certificate-list.ts';
import { parseConfig } from '../src/config/config.ts';
import { parseDuration } from '../src/config/duration.ts';
import { parseBindDn, parseGroupDn, parseLdapUrl } from '../src/config/ldap-value.ts';
import { parseListen } from '../src/config/listen-address.ts';
import { parsePythonConfig } from '../src/config/python-config.ts';
import { replaceSection } from '../src/config/replace-section.ts';
import { parseSize } from '../src/config/size.ts';
import { parseBaseUrl, parseCacheUrl, parseLine, parseList, parseSoftwareUrl } from '../src/config/value.ts';
import { matchesEtag } from '../src/http/etag.ts';
import { rootFrom } from '../src/http/page/links.ts';
import { Outside, visible } from '../src/http/page/outside.tsx';
import { parseRange } from '../src/http/range.ts';
import { headFaultOf } from '../src/http/request-head.ts';
import { createPathOf, decodePathSegment } from '../src/http/request-path.ts';
import { parseChain } from '../src/operations/certificate-state.ts';
import { readCertificateFiles } from '../src/operations/certificate-files.ts';
import { parseArchiveName, fileNamePart, isArchiveName } from '../src/release/archive-name.ts';
import { isSoftwareUrl, readExtends, softwareUrlOf } from '../src/release/buildout-config.ts';
import { detectCompression } from '../src/release/compression.ts';
import { createMemberRules } from '../src/release/member-rules.ts';
import { readReleaseFolder } from '../src/release/release-folder.ts';
import { nameOfRelease } from '../src/release/release-name.ts';
import { checkGlobalExtension, extend } from '../src/release/tar-extension.ts';
import { openStorage } from './fixtures/open-storage.ts';
import { nameOfTaken } from '../src/storage/taken-object.ts';
import { ownerStateOf } from '../src/storage/temporary-name.ts';
import { createEndpoint } from '../src/upstream/endpoint.ts';
import { collect } from './fixtures/collect.ts';

/**
 * What parsers get that read texts from outside. A regular expression, or a loop, whose time grows with the square of
 * the length takes minutes for 1 MiB of one of these, and the test ends by its time limit.
 */
const pathOf = createPathOf({ cache: ['h'], directory: [] });
const SIZE = process.env['SHACACHE_HEAVY'] ? 1024 * 1024 : 64 * 1024;
const FILLINGS = [
  ...[' ', '\t', '\n', ' \n', '\r\n x', '\0', '\u00a0', '\u0301', '\ud800'],
  ...['/', './', '../', '//', '://', '=/', ':', '=', '==', '@', '//a@', '?', '#', ' #', '; ', ' = '],
  ...['-', '.', '..', '-.', ', ', ',', '"', '"a\n', "'", "' ", '[', '[]', '{', '}{', '\\', '%', '%2f', '&'],
  ...[
    '0',
    '1.',
    '1.1-',
    '-1.1',
    '_v1.1.1',
    '-ubuntu-1',
    '.tar.a',
    '.tar.gz',
    '7',
    'a',
    'A=',
    'a b',
    'a.cfg ',
  ],
  ...[
    'T11:11:11.1',
    '-----BEGIN CERTIFICATE-----\n',
    '-----BEGIN CERTIFICATE-----\nab\n',
    '\n[a]\n',
    'a=b\n',
  ],
];
/** A character that is rarely allowed, so that a match fails at the very end. */
const END = '^';

/** A parser, and what stands before the worst text. */
type Parser = readonly [name: string, parse: (text: string) => unknown, before?: readonly string[]];

const URL_OF_FOLDER = 'https://h/a.cfg';
/** Its md5. */
const FOLDER = '2f087a93149e74734c03c3f03edd6e92';
const CONFIG = { file: '/etc/cache/config.ini', cwd: '/etc/cache' };
const PASSWORD_HASHES = ['$apr1$', '$2y$05$', '{SHA}', '$a'];
const URLS = ['', 'https://h', 'https://h/raw/'];

const PARSERS: readonly Parser[] = [
  [
    'config.ini',
    (text) => parseConfig(text, CONFIG),
    ['', '[a]\nb', '[server]\nlisten = ', '[software]\na = '],
  ],
  [
    'slapos.cfg',
    (text) => parsePythonConfig(text, 'slapos.cfg').section('a'),
    ['', '[a]\nb = ', '[a]\nb', '[a]\n%(', '[DEFAULT]\nb = '],
  ],
  [
    'slapos.cfg to be edited',
    (text) => replaceSection(text, 'slapos.cfg', 'a', { values: new Map([['b', '1']]), defaults: new Map() }),
    ['', '[a]\nb = ', '[a]\n[a]\n', '[a]\nb = 1\n'],
  ],
  ['a line of config.ini', parseLine],
  ['a list', parseList, ['', '"']],
  ['a URL of config.ini', parseBaseUrl, URLS],
  ['the URL of a cache', parseCacheUrl, URLS],
  ['a software URL', parseSoftwareUrl, URLS],
  ['listen', (text) => parseListen(text, { tls: true }), ['', 'http://', '[', 'a:']],
  ['a size', parseSize, ['', '1', '1.']],
  ['a duration', (text) => parseDuration(text), ['', '1', '1.']],
  ['an LDAP URL', parseLdapUrl, ['', 'ldap://', 'ldap://a:', 'ldap://[']],
  ['a bind DN', parseBindDn, ['', 'uid={user}']],
  ['a group DN', parseGroupDn, ['', 'cn', 'cn=']],
  ['a name in LDAP', (text) => bindDnOf('uid={user}', text)],
  ['certificates in config.ini', parseCertificateList, ['', '-----BEGIN CERTIFICATE-----\n']],
  ['htpasswd', (text) => parseHtpasswd(Buffer.from(text), 'htpasswd'), ['', 'a:', 'a:$apr1$']],
  ['a hash of a password', parsePasswordHash, PASSWORD_HASHES],
  ['the URL of a bucket', parseBucketUrl, ['', 's3://a', 's3://abc/']],
  [
    'certificates in a file',
    (text) => [certificateBlocks(text), parseChain(text, 'x')],
    ['', '-----BEGIN CERTIFICATE-----\n'],
  ],
  ['a word of a shell', quoteForShell],
  ['a time', parseTime, ['', '2026-01-01T00:00']],
  ['a text with passwords', withoutPasswords, ['', 'http://']],
  ['what a page shows', (text) => [visible(text), Outside({ text })], ['', 'https://h/']],
  ['the place of a page', rootFrom, ['', '/', 'http://']],
  [
    'the head of a request',
    (text) => headFaultOf({ headers: {}, rawHeaders: ['Host', text], httpVersion: '1.1' } as never),
    ['', 'a:', '['],
  ],
  ['the name of a file in tmp/', (text) => [nameOfTaken(text), ownerStateOf(text)], ['', 'a-b-c-1-1.']],
  ['an address', networkOf, ['', '::ffff:', '1:']],
  ['an operating system', parseOs, ['', 'a', 'a-', 'a-1', 'a-1-']],
  ['os-release', (text) => parseSystem({ osRelease: text }), ['', 'ID=', 'A', 'ID="', 'VERSION=']],
  ['lsb_release', (text) => parseSystem({ lsbRelease: text }), ['', 'Release:']],
  ['a release file', (line) => parseSystem({ releaseFile: { name: 'x-release', line } }), ['', 'a', 'a 1 (']],
  ['the tuple of a system', parseOsTuple, ['', '(', "('", "('a',", "('a','b','"]],
  ['the text of an entry', parseEntryText, ['', '[', '["']],
  [
    'an entry',
    (text) => parseEntry([JSON.stringify({ sha512: 'a'.repeat(128), os: text, url: text }), text]),
  ],
  ['when an entry was made', (text) => madeAt({ creationDate: text }), ['', '2020-01-01T']],
  ['a signature', withoutLineBreaks],
  ['a key', (text) => [parseKey(text), folderNameOf(text)], ['', 'file-urlmd5:', 'pypi:']],
  ['the folder of a key', folderNameOf],
  [
    'names in a store',
    (text) => [
      digestOfBlobName(`bcache/${text}`),
      parseEntryName(`bdir/${text}`),
      parsePartName(`parts/${text}`),
    ],
  ],
  [
    'what a word is near to',
    (text) => nearest(`https://h/${text}`, [`http://h/${text}a`, text], { limit: 3 }),
  ],
  ['a message', quoteBriefly],
  ['a table', (text) => formatTable(['A'], [[text]])],
  ['the terminal', withoutControls],
  [
    'a wrapped message',
    (text) => wrapFor({ isTTY: true, columns: 80 }, text),
    ['', ': /', ': cache ', "'", '"'],
  ],
  ['If-None-Match', (text) => matchesEtag(text, '"a"'), ['', 'W/']],
  ['Range', (text) => parseRange(text, 1000), ['', 'bytes=', 'bytes=1-']],
  ['the path of a request', (text) => pathOf({ incoming: { url: text, headers: {} } }), ['', '/', 'http://']],
  [
    'the Host of a request',
    (text) => pathOf({ incoming: { url: '/x', headers: { host: text } } }),
    ['', '['],
  ],
  ['a segment of a path', (text) => decodePathSegment(`/bdir/${text}`, '/bdir/', 'invalid-key')],
  [
    'the URL of another cache',
    (text) => createEndpoint(`https://h/${text}`, { ca: [], idleLimit: 1, environment: {} }),
  ],
  [
    'the name of an archive',
    (text) => [parseArchiveName(text), isArchiveName(text)],
    ['', 'a.tar.', 'a-ubuntu-', 'a-ubuntu-22.04-'],
  ],
  ['a part of a file name', fileNamePart],
  [
    'buildout.cfg',
    (text) => softwareUrlOf(text, FOLDER),
    ['', 'a', '[', '[buildout]', '[buildout]\nextends', '[buildout]\nextends = '],
  ],
  ['extends', readExtends, ['[buildout]\nextends = ', '[buildout]\nextends =\n ']],
  ['a word of extends', isSoftwareUrl, ['', '/', 'a']],
  ['the name of a release', nameOfRelease, URLS],
  ['the start of an archive', (text) => detectCompression(Buffer.from(text)), ['', '<']],
  ['an extended header', (text) => extend({}, 'pax', Buffer.from(text)), ['', '1048576 path=', '30 mtime=']],
  [
    'a global header',
    (text) => {
      checkGlobalExtension(Buffer.from(text));
    },
    ['', '1048576 comment='],
  ],
  [
    'a member',
    (path) => createMemberRules().check({ kind: 'file', path, linkTarget: '', size: 0 }),
    ['', FOLDER],
  ],
];

function worstTexts(start: string): string[] {
  const texts = FILLINGS.map((filling) => start + filling.repeat(SIZE / filling.length));
  // A search for what stands behind blanks fails at the end of the text.
  return [...texts.map((text) => text + END), ...texts.filter((text) => /\s$/.test(text))];
}

async function refuseOrTake(parse: (text: string) => unknown, text: string): Promise<void> {
  try {
    await parse(text);
  } catch (error) {
    if (!(error instanceof CacheError))
      throw new Error(`${String(error)}: ${quoteBriefly(text)}`, { cause: error });
  }
}

describe(`a text of ${SIZE} characters does not hold up`, () => {
  const cases = PARSERS.flatMap(([name, parse, before = ['']]) =>
    before.map((start) => ({ name, parse, start })),
  );
  it.each(cases)('$name, behind $start', async ({ parse, start }) => {
    for (const text of worstTexts(start)) await refuseOrTake(parse, text);
  });
});

describe(`a file of ${SIZE} characters does not hold up`, () => {
  let root: string;
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'worst-text-'));
    await mkdir(join(root, FOLDER));
  });
  afterAll(() => rm(root, { recursive: true }));

  it('the look for certificates in it', async () => {
    const file = join(root, 'certificates.pem');
    for (const text of worstTexts('')) {
      await writeFile(file, text);
      await refuseOrTake(() => readCertificateFiles([file]), text);
    }
  });

  it('who reads the log of an earlier version', async () => {
    const store = join(root, 'store');
    const storage = await openStorage(store, { write: true });
    const log = createStoreLog(storage, { who: { user: 'x', host: 'x' } });
    for (const text of ['', '{"previous":"'].flatMap(worstTexts)) {
      await writeFile(join(store, CUSTODY_FILE), text);
      await refuseOrTake(() => collect(log.oldRecords()), text);
    }
  });

  it('who packs the folder that it is in', async () => {
    await writeFile(join(root, FOLDER, 'buildout.cfg'), '');
    const file = join(root, FOLDER, '.installed.cfg');
    for (const text of ['', `=/a/${FOLDER}`].flatMap(worstTexts)) {
      await writeFile(file, `${text}/${FOLDER}x`);
      await refuseOrTake(() => readReleaseFolder(join(root, FOLDER), URL_OF_FOLDER), text);
    }
  });
});

it('the list of words of extends may be long', () => {
  const words = Array.from({ length: 500_000 }, () => 'a.cfg');
  expect(readExtends(`[buildout]\nextends = ${words.join(' ')}\n`)).toHaveLength(500_000);
});
