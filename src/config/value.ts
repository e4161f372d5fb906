import { isIP } from 'node:net';
import { quoteBriefly } from '../cache/digest.ts';
import { CacheError } from '../cache/errors.ts';

/*
 * Parsers of values of config.ini and of options. Each throws CacheError `usage` with the fault and what to write instead;
 * the caller adds the position.
 */

/** A value on one line. */
export function parseLine(text: string): string {
  const line = text.trim();
  if (line === '') throw new CacheError('usage', 'has no value; write one or remove the line');
  if (line.includes('\n')) {
    throw new CacheError(
      'usage',
      `has more than one line: ${quoteWithoutPasswords(line)}; write the value on one line`,
    );
  }
  if (/\s[#;]/.test(line)) {
    throw new CacheError(
      'usage',
      `contains a comment: ${quoteWithoutPasswords(line)}; a comment needs a line of its own`,
    );
  }
  return line;
}

/** Removes user names and passwords of URLs. */
function quoteWithoutPasswords(text: string): string {
  return quoteBriefly(text.split('\n').map(withoutPassword).join('\n'));
}

/** Replaces user name and password of a URL by `…`. */
export function withoutPassword(line: string): string {
  const start = line.indexOf('//');
  const end = line.lastIndexOf('@');
  return start === -1 || end < start ? line : `${line.slice(0, start)}//…${line.slice(end)}`;
}

/** Items separated by white space or commas; double quotes enclose an item that contains these. May be empty. */
export function parseList(text: string): readonly string[] {
  const items = text.match(/"[^"\n]*"|[^\s,"]+|"/g) ?? [];
  return items.map((item) => {
    const bare = /^"(.+)"$/.exec(item)?.[1] ?? item;
    if (bare.includes('"')) throw new CacheError('usage', 'has an unclosed "; write "NAME WITH SPACES"');
    if (/^[#;]/.test(bare)) {
      throw new CacheError(
        'usage',
        `contains a comment: ${quoteBriefly(bare)}; a comment needs a line of its own`,
      );
    }
    return bare;
  });
}

/** A boolean of Python's ConfigParser. */
export function parseBoolean(text: string): boolean {
  const word = text.trim().toLowerCase();
  if (['1', 'yes', 'true', 'on'].includes(word)) return true;
  if (['0', 'no', 'false', 'off'].includes(word)) return false;
  throw new CacheError('usage', `neither yes nor no: ${quoteBriefly(text)}; write true or false`);
}

/** A count, 1 or more. */
export function parseCount(text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text.trim())) return Number(text);
  throw new CacheError('usage', `not a number: ${quoteBriefly(text)}; write 1 or more`);
}

/** One of a few words, in any case. */
export function parseChoice<const Choice extends string>(text: string, choices: readonly Choice[]): Choice {
  const word = text.trim().toLowerCase();
  const choice = choices.find((candidate) => candidate === word);
  if (choice !== undefined) return choice;
  const last = choices.at(-1) ?? '';
  throw new CacheError(
    'usage',
    `not a known word: ${quoteBriefly(text)}; write ${choices.slice(0, -1).join(', ')} or ${last}`,
  );
}

/** A path, not resolved. */
export function parsePath(text: string): string {
  const path = parseLine(text);
  if (/^["']|["']$/.test(path))
    throw new CacheError('usage', `is in quotes: ${path}; write the path without quotes`);
  if (/^[~$]/.test(path)) {
    throw new CacheError(
      'usage',
      `"~" and "$" are not expanded: ${quoteBriefly(path)}; write the path in full, relative to the configuration file or from /`,
    );
  }
  return path;
}

/**
 * Base URL of an HTTP service, without a trailing `/`. It may contain a user name and password, which no message shows.
 */
export function parseBaseUrl(text: string): string {
  const url = parseLine(text);
  const shown = quoteWithoutPasswords(url);
  if (!/^https?:\/\/[^\s/]/i.test(url) || !URL.canParse(url)) {
    throw new CacheError('usage', `not an HTTP URL: ${shown}; write http://HOST/… or https://HOST/…`);
  }
  if (/[?#]/.test(url)) {
    throw new CacheError('usage', `has a "?" or "#": ${shown}; write the URL up to its path`);
  }
  return url.replace(/(?<!\/)\/+$/, '');
}

/** Base URL of a cache with its two services. */
export function parseCacheUrl(text: string): string {
  const url = parseBaseUrl(text);
  const [, base, service] = /^(.*)(\/(?:bcache|bdir))$/.exec(url) ?? [];
  if (base === undefined || service === undefined) return url;
  throw new CacheError(
    'usage',
    `omit ${service}, which is added automatically; write ${withoutPassword(base)}`,
  );
}

/** A software URL, not normalised: its md5 is the key. */
export function parseSoftwareUrl(text: string): string {
  const url = parseLine(text);
  if (!/^[a-z][a-z0-9+.-]*:\/\/\S+$/i.test(url)) {
    throw new CacheError(
      'usage',
      `not a software URL: ${quoteBriefly(url)}; write it as slapos supply gets it, https://…`,
    );
  }
  return url;
}

/** A DNS name, or an IP address without brackets. */
export function isHost(text: string): boolean {
  if (isIP(text) !== 0) return true;
  const labels = text.replace(/\.$/, '').split('.');
  // A name that ends with a number is a mistyped IPv4 address.
  if (text.length > 253 || /^\d+$/.test(labels.at(-1) ?? '')) return false;
  return labels.every((label) => /^[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?$/i.test(label));
}
