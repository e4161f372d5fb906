import { dirname, join } from 'node:path';
import type { X509Certificate } from 'node:crypto';
import { z } from 'zod';
import { isDigest, quoteBriefly, type Digest } from '../../cache/digest.ts';
import { CacheError, isUndecodable, shortReasonOf, systemCode } from '../../cache/errors.ts';
import {
  BLOBS,
  DIRECTORY,
  digestOfBlobName,
  parseEntryName,
  parsePartName,
  PARTS,
  STORE_FILE,
} from '../../cache/layout.ts';
import type { SignedDocument, TrustedCertificates } from '../../cache/signature.ts';
import { readSmallFile, UnfitFile } from '../../files/small-file.ts';
import {
  describeCertificate,
  type DocumentKind,
  DOCUMENT_SIZE_LIMIT,
  isOfKind,
  judgeSignature,
  parseJson,
  parseSignedDocument,
  signedBy,
} from './signed-document.ts';

export const MANIFEST_FILE = 'manifest.json';
/** The folder of a medium with its releases. */
export const STORE_FOLDER = 'store';
/** The folder of a medium for other software that the site needs, such as this program. */
export const PACKAGES_FOLDER = 'packages';
/** What stands at the top of a medium for the machine that serves: this program, by architecture, and how to start it. */
export const PROGRAM_FILES = { x64: 'cache', arm64: 'cache-arm64', readme: 'README.txt' } as const;
const PROGRAM_NAMES: ReadonlySet<string> = new Set(Object.values(PROGRAM_FILES));

const KIND: DocumentKind = { type: 'shacache-medium', format: 1 };

const digest = z.custom<Digest>(isDigest, 'must be 128 lower-case hex digits');
const size = z.int().nonnegative();
const path = z.string().startsWith(`${STORE_FOLDER}/`);

const manifest = z.object({
  /** Random hex digits that identify the exporting store. */
  origin: z.string().regex(/^[0-9a-f]{32}$/),
  /** Serial number of the export, per origin. */
  serial: z.int().positive(),
  created: z.iso.datetime(),
  by: signedBy,
  /** For people only; programs read the entries themselves. */
  releases: z.array(
    z.object({
      key: z.string(),
      url: z.string().optional(),
      platform: z.string().optional(),
      sha512: digest,
      /** Bytes of the blob; absent if the medium carries only the entry. */
      size: size.optional(),
    }),
  ),
  /** Every file of the medium's store, by its path on the medium. */
  files: z.array(z.object({ path, size, sha512: digest })),
  /** Blobs that are split, with their parts in order. */
  split: z.array(z.object({ sha512: digest, size, parts: z.array(path).min(1) })),
  /** Every file of `packages/`, by its path on the medium; earlier versions did not list them. */
  packages: z.array(z.object({ path: z.string(), size, sha512: digest })).optional(),
  /** Those of `PROGRAM_FILES` that are there; earlier versions did not list them. */
  program: z.array(z.object({ path: z.enum(PROGRAM_FILES), size, sha512: digest })).optional(),
});

/** The content of a medium's manifest. */
export type Manifest = Readonly<z.infer<typeof manifest>>;

/** A file of a medium. */
export interface MediumFile {
  /** Bytes. */
  readonly size: number;
  readonly sha512: Digest;
}

/** The name of a file in the medium's store. */
export function nameInStore(path: string): string {
  return path.slice(STORE_FOLDER.length + 1);
}

/** The files of a manifest, by object name. */
export function filesOf({ files }: Manifest): ReadonlyMap<string, MediumFile> {
  return new Map(files.map(({ path, size, sha512 }) => [nameInStore(path), { size, sha512 }]));
}

/** The files of `packages/` and of the program in a manifest, by path on the medium; undefined if it covers none. */
export function packagesOf({
  packages,
  program = [],
}: Manifest): ReadonlyMap<string, MediumFile> | undefined {
  return packages && new Map([...packages, ...program].map(({ path, ...file }) => [path, file]));
}

/** Whether a path on a medium is a file of the program. */
export function isOfProgram(path: string): path is (typeof PROGRAM_FILES)[keyof typeof PROGRAM_FILES] {
  return PROGRAM_NAMES.has(path);
}

/** Whether a file of `packages/` can be carried: tools and terminals take such a name for nothing else. */
export function isPackageName(name: string): boolean {
  return (
    !isUndecodable(name) &&
    // eslint-disable-next-line no-control-regex -- these are what it looks for
    name.split('/').every((item) => !['', '.', '..'].includes(item) && !/[\x00-\x1f\x7f\\]/.test(item))
  );
}

/** @throws CacheError `too-large`: more files than a manifest can hold */
export function formatManifest(content: Manifest): string {
  const text = JSON.stringify({ ...KIND, ...content });
  // Measures the text as the file holds it: as a JSON string.
  if (Buffer.byteLength(JSON.stringify(text)) < DOCUMENT_SIZE_LIMIT - 64 * 1024) return text;
  throw new CacheError(
    'too-large',
    `${content.files.length + (content.packages?.length ?? 0)} files are more than one medium can carry; export fewer releases to each of several`,
  );
}

/** A signed manifest as read from a medium. */
export interface SignedManifest {
  readonly manifest: Manifest;
  /** The trusted certificate that verifies it. */
  readonly signer: X509Certificate;
}

/**
 * Reads and verifies the manifest of the medium in `folder`.
 * @returns undefined if the medium has none
 * @throws CacheError `untrusted`: no trusted certificate verifies it; `invalid-medium`: it is no manifest; `storage`:
 * it can't be read
 */
export async function readManifest(
  folder: string,
  trusted: TrustedCertificates,
): Promise<SignedManifest | undefined> {
  const where = join(folder, MANIFEST_FILE);
  const content = await readBounded(where);
  if (content === undefined) return undefined;
  const document = parseSignedDocument(content, where);
  const signer = verifySignature(document, trusted, where);
  return { manifest: parseManifest(document[0], where), signer };
}

function verifySignature(
  document: SignedDocument,
  trusted: TrustedCertificates,
  where: string,
): X509Certificate {
  const signature = judgeSignature(document, trusted);
  switch (signature.kind) {
    case 'trusted':
      return signature.certificate;
    case 'none':
      throw new CacheError('untrusted', `${where} is not signed; make the medium anew with: cache export`);
    case 'wrong':
      throw new CacheError(
        'untrusted',
        `${where}: the signature does not match the text, which was changed after signing; export the medium again`,
      );
    case 'stranger':
      throw new CacheError('untrusted', strangerMessage(signature.certificate, where));
  }
}

function strangerMessage(certificate: X509Certificate, where: string): string {
  return [
    `${where} is signed by ${describeCertificate(certificate)}, which this site does not trust.`,
    `Compare this fingerprint with the one that cache export showed. If they are equal, trust the certificate: cache init SITE --trust ${join(dirname(where), 'miscellaneous', 'sign.crt')}`,
    'SITE is the folder of config.ini; with --no-key, init makes a new site that only imports and serves. For a configuration file of another name, add the certificate to its signature-certificate-list.',
  ].join('\n');
}

function parseManifest(text: string, where: string): Manifest {
  const value = parseJson(text, where);
  if (!isOfKind(value, KIND, where))
    throw new CacheError('invalid-medium', `${where}: not the manifest of a medium`);
  const parsed = manifest.safeParse(value);
  const fault = parsed.success ? faultOf(parsed.data) : describeIssue(parsed.error);
  if (parsed.success && fault === undefined) return parsed.data;
  throw new CacheError('invalid-medium', `${where}: ${fault ?? 'not the manifest of a medium'}`);
}

function describeIssue({ issues: [issue] }: z.ZodError): string {
  return issue === undefined ? 'it is wrong' : `"${issue.path.join('.')}" ${issue.message}`;
}

/** A contradiction inside the manifest: even a trusted signer can err, and no file may pass for another. */
function faultOf({ files, split, packages = [], program = [] }: Manifest): string | undefined {
  const listed = new Set<string>();
  for (const { path } of packages) {
    if (listed.has(path)) return `${path} is listed twice`;
    const prefix = `${PACKAGES_FOLDER}/`;
    if (!path.startsWith(prefix) || !isPackageName(path.slice(prefix.length)))
      return `${quoteBriefly(path)} is no file of ${prefix}`;
    listed.add(path);
  }
  const twice = program.find(
    ({ path }, index) => program.findIndex((other) => other.path === path) !== index,
  );
  if (twice !== undefined) return `${twice.path} is listed twice`;
  const byPath = new Map<string, MediumFile>();
  for (const file of files) {
    if (byPath.has(file.path)) return `${file.path} is listed twice`;
    if (!isCarriedName(nameInStore(file.path), file.sha512))
      return `${file.path} is no file of a medium's store, or not under its own sha512`;
    byPath.set(file.path, file);
  }
  const parts = new Set<string>();
  for (const blob of split) {
    if (byPath.has(`${STORE_FOLDER}/${BLOBS}${blob.sha512}`))
      return `${blob.sha512} is there whole and split`;
    let sum = 0;
    for (const [index, part] of blob.parts.entries()) {
      const name = parsePartName(nameInStore(part));
      const file = byPath.get(part);
      if (file === undefined || name?.digest !== blob.sha512 || name.index !== index + 1)
        return `${part} is not part ${index + 1} of ${blob.sha512}`;
      parts.add(part);
      sum += file.size;
    }
    if (sum !== blob.size) return `the parts of ${blob.sha512} have ${sum} bytes, not ${blob.size}`;
  }
  const stray = files.find(
    (file) => file.path.startsWith(`${STORE_FOLDER}/${PARTS}`) && !parts.has(file.path),
  );
  return stray === undefined ? undefined : `${stray.path} is part of no blob`;
}

/** Whether a medium carries objects with such a name. */
export function isCarriedName(name: string, sha512?: Digest): boolean {
  if (name === STORE_FILE) return true;
  if (name.startsWith(BLOBS)) {
    const digest = digestOfBlobName(name);
    return digest !== undefined && digest === (sha512 ?? digest);
  }
  if (name.startsWith(DIRECTORY)) return parseEntryName(name) !== undefined;
  return parsePartName(name) !== undefined;
}

async function readBounded(path: string): Promise<string | undefined> {
  try {
    return (await readSmallFile(path, DOCUMENT_SIZE_LIMIT)).toString('utf8');
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    if (error instanceof UnfitFile)
      throw new CacheError('invalid-medium', `${path}: ${error.message}`, { cause: error });
    throw new CacheError('storage', `${path}: can't be read (${shortReasonOf(error)})`, { cause: error });
  }
}
