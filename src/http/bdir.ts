import { Hono, type Context } from 'hono';
import type { Blobs } from '../cache/blobs.ts';
import type { Directory } from '../cache/directory.ts';
import {
  ENTRY_SIZE_LIMIT,
  parseEntryText,
  type UnverifiedEntry,
  type VerifiedEntry,
} from '../cache/entry.ts';
import { CacheError, throwProgrammingError } from '../cache/errors.ts';
import { parseKey, type Key, isKey, isKeyForm } from '../cache/key.ts';
import { quoteBriefly } from '../cache/digest.ts';
import { acceptUnsigned, type TrustedCertificates } from '../cache/signature.ts';
import { requireRole, type AccessControl } from './access-control.ts';
import type { HttpEnv } from './http-env.ts';
import { createEntryLists, type EntryList } from './entry-lists.ts';
import { allowsEtag, matchesEtag } from './etag.ts';
import { createKeyList } from './key-list.ts';
import { byMethod } from './methods.ts';
import { announcedLength, receiveBody } from './request-body.ts';
import { decodePathSegment } from './request-path.ts';
import type { RecordUpload } from './upload-record.ts';

export interface DirectoryRoutesOptions {
  readonly access: AccessControl;
  /** Must contain the blobs of uploaded entries. */
  readonly blobs: Blobs;
  /** Whose entries may be uploaded. */
  readonly trusted: TrustedCertificates;
  readonly allowUnsigned: boolean;
  readonly recordUpload: RecordUpload;
}

/** ShaDir: `/bdir/<key>` (protocol.md, "Requests as they really arrive"), and `/bdir/`, the list of keys. */
export function createDirectoryRoutes(
  directory: Directory,
  { access, blobs, trusted, allowUnsigned, recordUpload }: DirectoryRoutesOptions,
): Hono<HttpEnv> {
  const lists = createEntryLists(directory);

  const lookUp = (c: Context<HttpEnv>): Response | Promise<Response> => {
    const text = segmentOfPath(c);
    // A key that is too long to be stored has no entry.
    if (isKeyForm(text) && !isKey(text)) throw noEntry(quoteBriefly(text));
    const key = parseKey(text);
    const list = lists.get(key);
    return list instanceof Promise ? list.then((found) => answer(c, key, found)) : answer(c, key, list);
  };

  const answer = (c: Context<HttpEnv>, key: Key, list: EntryList | undefined): Response => {
    if (list === undefined) throw noEntry(key);
    const { body, etag, headers } = list;
    const { 'if-match': ifMatch, 'if-none-match': ifNoneMatch } = c.env.incoming.headers;
    if (!allowsEtag(ifMatch, etag)) return new Response(null, { status: 412 });
    if (matchesEtag(ifNoneMatch, etag)) {
      return new Response(null, { status: 304, headers: { ETag: etag, 'Cache-Control': 'no-cache' } });
    }
    return new Response(body, { headers });
  };

  const add = async (c: Context<HttpEnv>): Promise<Response> => {
    const key = parseKey(segmentOfPath(c));
    const entry = verify(parseEntryText(await readText(c)));
    const blob = await blobs.stat(entry.sha512);
    if (blob === undefined) {
      throw new CacheError(
        'blob-missing',
        `blob ${entry.sha512} is missing; upload it to /bcache before the entry`,
      );
    }
    const isNew = await directory.add(key, entry);
    lists.forget(key);
    if (isNew) {
      const { digest, sha512, softwareUrl } = entry;
      await recordUpload(c, { key, entry: digest, sha512, softwareUrl, size: blob.size });
    }
    return c.body(null, 201, { 'Content-Length': '0' });
  };

  const verify = (entry: UnverifiedEntry): VerifiedEntry => {
    const isUnsigned = entry.pair[1] === '';
    if (isUnsigned && allowUnsigned) return acceptUnsigned(entry);
    if (isUnsigned) throw new CacheError('untrusted', UNSIGNED);
    if (trusted.signerOf(entry) === undefined) throw new CacheError('untrusted', UNTRUSTED);
    return trusted.verify(entry);
  };

  const collection = byMethod({ GET: requireRole(access, 'read', createKeyList(directory)) });
  const one = byMethod({ GET: requireRole(access, 'read', lookUp), PUT: requireRole(access, 'upload', add) });
  const routes = new Hono<HttpEnv>();
  routes.all('/*', (c) => (c.req.path.length <= '/bdir/'.length ? collection(c) : one(c)));
  return routes;
}

const UNSIGNED = 'the entry is not signed; in slapos.cfg of the client, set signature-private-key-file';
const UNTRUSTED =
  'no trusted certificate verifies the signature; to accept it, add the certificate of the client (signature-certificate-file in its slapos.cfg) to signature-certificate-list in [signature] of config.ini. Certificates in [upstream] allow no uploads';

function segmentOfPath(c: Context<HttpEnv>): string {
  return decodePathSegment(c.req.path, '/bdir/', 'invalid-key');
}

function noEntry(key: string): CacheError {
  return new CacheError('not-found', `no entry for key ${key}`);
}

const LIMIT = { bytes: ENTRY_SIZE_LIMIT, advice: ' for an entry' };

/** @throws CacheError `too-large`, `invalid-entry` */
async function readText({ env: { incoming, outgoing } }: Context<HttpEnv>): Promise<string> {
  announcedLength(incoming, LIMIT);
  const chunks: Buffer[] = [];
  for await (const some of receiveBody(incoming, outgoing, LIMIT))
    for (const chunk of some) chunks.push(chunk);
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(Buffer.concat(chunks));
  } catch (error) {
    throwProgrammingError(error);
    throw new CacheError('invalid-entry', 'the entry is not UTF-8', { cause: error });
  }
}
