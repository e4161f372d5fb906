import { CacheError } from '../cache/errors.ts';
import { decodeName } from './member-name.ts';
import type { TarExtension } from './tar-header.ts';

/**
 * Adds the content of an extended header. Of several for one member the first counts, as in Python's tarfile.
 * @throws CacheError `invalid-archive`, `unsupported-archive`
 */
export function extend(
  known: TarExtension,
  kind: 'pax' | 'long-path' | 'long-link',
  content: Buffer,
): TarExtension {
  if (kind === 'long-path') return { path: untilNul(content), ...known };
  if (kind === 'long-link') return { linkTarget: untilNul(content), ...known };
  return { ...paxExtension(content), ...known };
}

/**
 * Checks a header for all following members, such as the comment of `git archive`. A name or size for all of them makes
 * no sense.
 * @throws CacheError `invalid-archive`, `unsupported-archive`
 */
export function checkGlobalExtension(content: Buffer): void {
  if (Object.keys(paxExtension(content)).length > 0) throw corruptExtension();
}

function untilNul(content: Buffer): string {
  const end = content.indexOf(0);
  return decodeName(end === -1 ? content : content.subarray(0, end));
}

function paxExtension(content: Buffer): TarExtension {
  let extension: TarExtension = {};
  for (const [keyword, value] of paxRecords(content)) {
    if (keyword === 'path') extension = { ...extension, path: value };
    else if (keyword === 'linkpath') extension = { ...extension, linkTarget: value };
    else if (keyword === 'size') extension = { ...extension, size: parseSize(value) };
    // Python takes "nan" for a number, and fails when it unpacks the member.
    else if (keyword === 'mtime' && !/^-?[0-9]{1,12}(\.[0-9]*)?$/.test(value)) throw corruptExtension();
    else if (keyword === 'GNU.sparse.name') extension = { ...extension, sparse: value };
    else if (keyword.startsWith('GNU.sparse.')) extension = { sparse: '', ...extension };
  }
  return extension;
}

function parseSize(value: string): number {
  const size = Number(value);
  if (!/^[0-9]+$/.test(value) || !Number.isSafeInteger(size)) throw corruptExtension();
  return size;
}

/** The records `LENGTH KEYWORD=VALUE\n` of POSIX.1-2017, pax, "Extended Header"; LENGTH counts the whole record, in bytes. */
function* paxRecords(content: Buffer): Generator<readonly [keyword: string, value: string]> {
  for (let start = 0; start < content.length;) {
    const [digits] = /^[0-9]{1,8}(?= )/.exec(content.toString('latin1', start, start + 9)) ?? [];
    const end = start + Number(digits);
    const keywordStart = start + (digits?.length ?? 0) + 1;
    const assignment = content.indexOf('=', start);
    // Also false for NaN, from missing digits. Python stops reading at an empty keyword.
    const isRecord = assignment > keywordStart && assignment < end && end <= content.length;
    if (!isRecord || content[end - 1] !== 0x0a) throw corruptExtension();
    const keyword = content.toString('utf8', keywordStart, assignment);
    yield [keyword, decodeName(content.subarray(assignment + 1, end - 1))];
    start = end;
  }
}

function corruptExtension(): CacheError {
  return new CacheError('invalid-archive', 'corrupt: an extended tar header holds no valid records');
}
