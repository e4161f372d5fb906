/** A candidate with its distance: first the edits, then the versions. */
interface Ranked {
  readonly candidate: string;
  readonly edits: number;
  readonly versionGap: number;
  readonly isExact: boolean;
}

/** A text without its versions and its case: the same for `…/1.0.344/…` and `…/1.0.349/…`. */
interface Outline {
  readonly text: string;
  readonly versions: readonly string[];
}

/** A git commit or a run of numbers: `3f2a…` of 40 digits, `1.0.344`, `22.04`. */
const VERSION = /(?<![0-9a-z])[0-9a-f]{40}(?![0-9a-z])|\d+(?:\.\d+)*/g;
/** Replaces a version in an outline. */
const VERSION_MARK = '\0';
/** The folder before the branch, tag or commit in URLs of repositories: `…/slapos/raw/master/software/…`. */
const REVISION_FOLDER = 'raw';
/**
 * The largest part of two similar texts that may differ. For paths of the same depth it also applies to each folder, because
 * all URLs of a site have much in common.
 */
const PLAUSIBLE_PART = 0.5;
/** Longer texts are ignored: the time to compare two grows with the product of their lengths. */
const LENGTH_LIMIT = 4096;

/**
 * The candidates similar to `word`, at most `limit`, the nearest first. The distance is the number of typing errors (a
 * character added, missing or wrong, or two swapped), ignoring versions and case; among equals the closest version comes
 * first. Fast enough for 10 000 URLs: the distances so far bound the search.
 * @param options `most`: the largest number of typing errors; by default, half of the letters
 */
export function nearest(
  word: string,
  candidates: Iterable<string>,
  { limit, most = Infinity }: { readonly limit: number; readonly most?: number },
): readonly string[] {
  if (word.length > LENGTH_LIMIT) return [];
  const wanted = outlineOf(word);
  const kept: Ranked[] = [];
  for (const candidate of candidates) {
    if (candidate.length > LENGTH_LIMIT) continue;
    const found = outlineOf(candidate);
    const plausible = Math.min(most, plausibleEdits(wanted.text, found.text));
    const worst = kept.length < limit ? plausible : Math.min(plausible, kept.at(-1)?.edits ?? -1);
    const edits = countEdits(wanted.text, found.text, worst);
    if (edits === undefined || !isAlikeByName(wanted.text, found.text)) continue;
    const ranked = {
      candidate,
      edits,
      versionGap: versionGap(wanted.versions, found.versions),
      isExact: candidate === word,
    };
    const place = kept.findIndex((other) => compare(ranked, other) < 0);
    kept.splice(place === -1 ? kept.length : place, 0, ranked);
    if (kept.length > limit) kept.pop();
  }
  return kept.map(({ candidate }) => candidate);
}

function compare(a: Ranked, b: Ranked): number {
  return a.edits - b.edits || a.versionGap - b.versionGap || Number(b.isExact) - Number(a.isExact);
}

function plausibleEdits(a: string, b: string): number {
  return Math.floor(Math.max(a.length, b.length) * PLAUSIBLE_PART);
}

/** A version is similar to any name, and a branch, tag or commit to any other. */
function isAlikeByName(a: string, b: string): boolean {
  const names = a.split('/');
  const others = b.split('/');
  if (names.length !== others.length) return true;
  return names.every((name, index) => {
    const other = others[index] ?? '';
    if (name === other || names[index - 1] === REVISION_FOLDER) return true;
    if (name === VERSION_MARK || other === VERSION_MARK) return true;
    return countEdits(name, other, plausibleEdits(name, other)) !== undefined;
  });
}

function outlineOf(text: string): Outline {
  const versions: string[] = [];
  const outline = text.toLowerCase().replace(VERSION, (version) => {
    versions.push(version);
    return VERSION_MARK;
  });
  return { text: outline, versions };
}

/** 0 for the same versions; a difference further right counts a thousandth of one further left. */
function versionGap(wanted: readonly string[], found: readonly string[]): number {
  let gap = Math.abs(wanted.length - found.length);
  for (const [index, version] of wanted.entries()) gap += gapBetween(version, found[index] ?? version);
  return gap;
}

function gapBetween(wanted: string, found: string): number {
  if (wanted === found) return 0;
  const a = wanted.split('.').map(Number);
  const b = found.split('.').map(Number);
  let weight = 1;
  for (let index = 0; index < Math.max(a.length, b.length); index += 1) {
    // A missing part counts as -1: 1.0 is nearer to 1.0.0 than to 1.0.7.
    const difference = Math.abs((a[index] ?? -1) - (b[index] ?? -1));
    if (Number.isNaN(difference)) return 1;
    if (difference > 0) return weight * Math.min(difference, 999);
    weight /= 1000;
  }
  return 0;
}

/** Typing errors between two texts, or undefined when there are more than `most`. */
function countEdits(a: string, b: string, most: number): number | undefined {
  if (Math.abs(a.length - b.length) > most) return undefined;
  // URLs of one site begin and end alike: compares only the middle.
  let start = 0;
  const shorter = Math.min(a.length, b.length);
  while (start < shorter && a.charCodeAt(start) === b.charCodeAt(start)) start += 1;
  let end = 0;
  while (end < shorter - start && a.charCodeAt(a.length - 1 - end) === b.charCodeAt(b.length - 1 - end)) {
    end += 1;
  }
  const middleOfA = a.slice(start, a.length - end);
  const middleOfB = b.slice(start, b.length - end);
  if (countForeign(middleOfA, middleOfB) > most) return undefined;
  return countMiddleEdits(middleOfA, middleOfB, most);
}

/** Characters that only one of the texts has: a lower bound of the edits, and much faster to count. */
function countForeign(a: string, b: string): number {
  const surplus = new Map<number, number>();
  for (let index = 0; index < a.length; index += 1) {
    const letter = a.charCodeAt(index);
    surplus.set(letter, (surplus.get(letter) ?? 0) + 1);
  }
  let common = 0;
  for (let index = 0; index < b.length; index += 1) {
    const letter = b.charCodeAt(index);
    const left = surplus.get(letter) ?? 0;
    if (left === 0) continue;
    common += 1;
    surplus.set(letter, left - 1);
  }
  return Math.max(a.length, b.length) - common;
}

/** Optimal string alignment by rows; ends as soon as a whole row exceeds `most`. */
function countMiddleEdits(a: string, b: string, most: number): number | undefined {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row += 1) {
    const current = [row];
    let least = row;
    let left = row;
    const letter = a.charCodeAt(row - 1);
    for (let column = 1; column <= b.length; column += 1) {
      const other = b.charCodeAt(column - 1);
      const replaced = (last[column - 1] ?? 0) + (letter === other ? 0 : 1);
      let edits = Math.min(left + 1, (last[column] ?? 0) + 1, replaced);
      if (row > 1 && column > 1 && letter === b.charCodeAt(column - 2) && a.charCodeAt(row - 2) === other) {
        edits = Math.min(edits, (beforeLast[column - 2] ?? 0) + 1);
      }
      current.push(edits);
      left = edits;
      if (edits < least) least = edits;
    }
    // A swap reaches back two rows, hence one edit of slack.
    if (least > most + 1) return undefined;
    beforeLast = last;
    last = current;
  }
  const edits = last[b.length] ?? 0;
  return edits > most ? undefined : edits;
}
