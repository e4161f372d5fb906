import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { parseCertificate } from '../cache/certificate.ts';
import { CacheError } from '../cache/errors.ts';
import { createTrustedCertificates, type TrustedCertificates } from '../cache/signature.ts';
import { SOFTWARE_ROOT } from '../cache/software-root.ts';
import { readConfigText } from '../config/config-file.ts';
import { parsePythonConfig } from '../config/python-config.ts';
import { parseBaseUrl } from '../config/value.ts';
import { throwUnlessAbsent } from '../storage/storage-error.ts';
import { keyOf } from './lookup.ts';
import { CERTIFICATE_LIST, FORCE_LIST, NETWORKCACHE } from './slapos-cfg.ts';
import type { ReleaseProblem } from './upkeep/check-release.ts';

/** A node as its slapos.cfg makes it (protocol.md, "What else decides on the node"). */
export interface SlaposNode {
  /** Its slapos.cfg. */
  readonly file: string;
  /** Where it downloads; undefined if it asks no cache. */
  readonly urls: { readonly blobs: string; readonly directory: string } | undefined;
  readonly trusted: TrustedCertificates;
  readonly softwareRoot: string;
  /** Prefixes of URLs that it never asks for. */
  readonly blacklist: readonly string[];
  /** Prefixes of URLs that it never compiles. */
  readonly forceList: readonly string[];
  /** What it ignores. */
  readonly notes: readonly string[];
}

/** What a node does with one software URL. */
export interface NodePlan {
  /** Whether it asks the cache. */
  readonly asks: boolean;
  /** `retries`: fails, and tries again later. */
  readonly outcome: 'downloads' | 'compiles' | 'retries';
  /** For a person. */
  readonly text: string;
}

const BLACKLIST = 'download-from-binary-cache-url-blacklist';
/** slapos stops if one of these files is missing. */
const FILE_KEYS = [
  ...['shacache', 'shadir'].flatMap((service) =>
    ['ca', 'cert', 'key'].map((kind) => `${service}-${kind}-file`),
  ),
  ...['signature-private-key-file', 'signature_private_key_file'],
  ...['key_file', 'cert_file', 'master_ca_file'],
];

/**
 * Reads a slapos.cfg as slapos.core does: the keys of `[networkcache]` replace those of `[slapos]`.
 * @param isHere whether it is that of this machine, so that its files must be here
 * @throws CacheError `config`: slapos stops with this file
 */
export async function readSlaposNode(
  file: string,
  { isHere }: { readonly isHere: boolean },
): Promise<SlaposNode> {
  const config = parsePythonConfig(await readConfigText(file), file);
  const slapos = config.section('slapos');
  if (slapos === undefined)
    throw new CacheError('config', `${file}: no [slapos] section; slapos stops without it`);
  const options = new Map([...slapos, ...(config.section(NETWORKCACHE) ?? [])]);
  // slapos reads these, too, and stops at a value that Python can't interpolate.
  for (const name of config.names) if (/^(?:firewall$|manager)/.test(name)) config.section(name);
  const valueOf = (key: string): string | undefined => {
    const value = options.get(key);
    return value === '' ? undefined : value;
  };
  const linesOf = (key: string): readonly string[] =>
    (valueOf(key) ?? '')
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => line.trim());
  if (isHere)
    await checkFiles(
      file,
      FILE_KEYS.map((key) => [key, valueOf(key)] as const),
    );
  const [blobs, directory] = ['download-binary-cache-url', 'download-binary-dir-url'].map((key) =>
    urlOf(file, key, valueOf(key)),
  );
  const { pems, notes } = certificatesOf(valueOf(CERTIFICATE_LIST) ?? '');
  const lacking = ['download-cache-url', 'download-dir-url'].filter((key) => !options.has(key));
  return {
    file,
    urls: blobs === undefined || directory === undefined ? undefined : { blobs, directory },
    trusted: createTrustedCertificates(pems.map((pem) => ({ pem, where: file }))),
    softwareRoot: valueOf('software_root') ?? SOFTWARE_ROOT,
    // The older name counts if the newer one is missing.
    blacklist: linesOf(valueOf(BLACKLIST) === undefined ? 'binary-cache-url-blacklist' : BLACKLIST),
    forceList: linesOf(FORCE_LIST),
    notes: [
      ...notes,
      ...lacking.map(
        (key) => `no ${key}: networkcache-download and slapos cachelookup url|pypi fail without it`,
      ),
    ].map((note) => `${file}: ${note}`),
  };
}

async function checkFiles(
  file: string,
  paths: readonly (readonly [key: string, path: string | undefined])[],
): Promise<void> {
  for (const [key, path] of paths)
    if (path !== undefined && !(await isThere(path)))
      throw new CacheError(
        'config',
        `${file}: ${key}: ${path} not found, and slapos stops without it; put the file there, or remove the line`,
      );
}

function urlOf(file: string, key: string, value: string | undefined): string | undefined {
  if (value === undefined) return undefined;
  try {
    return parseBaseUrl(value);
  } catch (error) {
    if (!(error instanceof CacheError)) throw error;
    throw new CacheError('config', `${file}: ${key}: ${error.message}`, { cause: error });
  }
}

const BEGIN = '-----BEGIN CERTIFICATE-----';

/** As the client splits the list: it ignores a certificate that it can't read. */
function certificatesOf(list: string): {
  readonly pems: readonly string[];
  readonly notes: readonly string[];
} {
  const blocks = list
    .split(BEGIN)
    .map((block) => block.trim())
    .filter((block) => block !== '');
  const pems: string[] = [];
  const notes: string[] = [];
  for (const [index, block] of blocks.entries()) {
    const pem = `${BEGIN}\n${block}\n`;
    try {
      parseCertificate(pem, CERTIFICATE_LIST);
      pems.push(pem);
    } catch (error) {
      if (!(error instanceof CacheError)) throw error;
      notes.push(`nodes ignore certificate ${index + 1} of ${error.message}`);
    }
  }
  if (pems.length === 0) notes.push(`${CERTIFICATE_LIST} has no certificate: the node installs nothing`);
  return { pems, notes };
}

async function isThere(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    throwUnlessAbsent(error, `can't look at ${path}`);
    return false;
  }
}

/** What keeps the node from asking for a URL, in the order in which it looks. */
export async function obstacleOf(
  url: string,
  { file, urls, blacklist, softwareRoot }: SlaposNode,
  { isHere, hasGcc }: { readonly isHere: boolean; readonly hasGcc: boolean },
): Promise<ReleaseProblem | undefined> {
  const folder = join(softwareRoot, keyOf(url));
  if (isHere && (await isThere(folder)) && !(await isThere(join(folder, '.completed'))))
    return {
      kind: 'folder-left',
      message: `an unfinished build is in ${folder}; the node asks only without it`,
    };
  if (urls === undefined)
    return {
      kind: 'no-cache-url',
      message: `${file} has no download-binary-cache-url or no download-binary-dir-url in [${NETWORKCACHE}]`,
    };
  const prefix = blacklist.find((start) => url.startsWith(start));
  if (prefix !== undefined) return { kind: 'blacklisted', message: `${file} has ${prefix} in ${BLACKLIST}` };
  return hasGcc
    ? undefined
    : {
        kind: 'no-gcc',
        message: 'gcc is missing: the node asks it for its platform, and never downloads without it',
      };
}

/** @param problem of the node or of the release */
export function planOf(
  url: string,
  { urls, forceList }: SlaposNode,
  problem: ReleaseProblem | undefined,
): NodePlan {
  if (problem === undefined) {
    const text = `the node downloads it from ${withoutPassword(urls?.blobs ?? '')}`;
    return { asks: true, outcome: 'downloads', text };
  }
  const asks = !NEVER_ASKED.has(problem.kind);
  const forced = forceList.find((start) => url.startsWith(start));
  const asked = asks ? 'the node finds no build' : 'the node never asks the cache';
  return forced === undefined
    ? { asks, outcome: 'compiles', text: `${asked}, and compiles` }
    : { asks, outcome: 'retries', text: `${asked}, fails and retries, because ${FORCE_LIST} has ${forced}` };
}

const NEVER_ASKED: ReadonlySet<ReleaseProblem['kind']> = new Set([
  'folder-left',
  'no-cache-url',
  'blacklisted',
  'no-gcc',
]);

function withoutPassword(url: string): string {
  return url.replace(/^(https?:\/\/)[^/]*@/i, '$1');
}
