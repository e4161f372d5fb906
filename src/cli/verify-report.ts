import { formatPlatform } from '../cache/platform.ts';
import type { BlobUser } from '../operations/upkeep/blob-users.ts';
import type { Finding, FindingKind } from '../operations/upkeep/finding.ts';
import type { Mended } from '../operations/upkeep/mend.ts';
import type { VerifyCounts } from '../operations/upkeep/verification.ts';
import { formatCount, formatSize } from './terminal/format.ts';
import type { Terminal } from './terminal/terminal.ts';
import { asOneLine } from '../cache/controls.ts';

/** A finding, and what became of it where anything was tried. */
export interface MendedFinding extends Finding {
  readonly mended?: Mended;
}

/** What a verification ends with. */
export interface VerifyReport {
  readonly findings: readonly MendedFinding[];
  readonly looked: VerifyCounts;
  /** Who needs the blobs that are still damaged. */
  readonly affected: readonly BlobUser[];
}

/** A stray that was moved away leaves nothing wrong behind; a release that was moved away is missing. */
export function isMended({ kind, mended }: MendedFinding): boolean {
  const outcome = mended?.outcome;
  if (outcome === 'quarantined') return kind === 'stray';
  return outcome !== undefined && outcome !== 'left';
}

/** A line that greps well, and lines with what else is known below it. */
export function printFinding(finding: MendedFinding, terminal: Terminal): void {
  const { kind, path, problem, softwareUrl, mended } = finding;
  terminal.print(asOneLine(`${kind}: ${path}: ${problem}`));
  if (softwareUrl !== undefined) terminal.print(`  of ${asOneLine(softwareUrl)}`);
  if (mended !== undefined) for (const line of describe(mended)) terminal.print(`  ${line}`);
}

function describe(mended: Mended): readonly string[] {
  switch (mended.outcome) {
    case 'healed':
      return [
        [
          'healed',
          mended.source === undefined ? '' : ` from ${mended.source}`,
          mended.quarantined === undefined ? '' : `; what stood there is in ${mended.quarantined}`,
        ].join(''),
      ];
    case 'quarantined':
      return [`moved to ${mended.quarantined}`];
    case 'removed':
      return ['removed'];
    case 'gone':
      return ['by now it is gone, or all right'];
    case 'left':
      return ['left as it is', ...mended.reasons.map((reason) => `  ${reason}`)];
  }
}

/** What was done, for the summary. */
export interface VerifyRun {
  readonly deep: boolean;
  readonly isMending: boolean;
  /** Whether older ones were passed over. */
  readonly isPartial: boolean;
}

export function printSummary(
  { findings, looked, affected }: VerifyReport,
  { deep, isMending, isPartial }: VerifyRun,
  terminal: Terminal,
): void {
  for (const { softwareUrl, key, platform, sha512 } of affected) {
    const what = platform === undefined ? '' : ` for ${formatPlatform(platform)}`;
    terminal.warn(
      `cache: ${asOneLine(softwareUrl ?? key)}${what} can't be installed: it needs the blob ${sha512}`,
    );
  }
  const isKept = ({ mended }: MendedFinding): boolean =>
    (mended?.outcome === 'healed' || mended?.outcome === 'quarantined') && mended.quarantined !== undefined;
  if (findings.some(isKept))
    terminal.tell('what was bad is kept in quarantine/ of the store; remove it when it is of no more use');
  const left = findings.filter((finding) => !isMended(finding));
  if (left.length > 0) for (const line of adviceFor(left)) terminal.tell(line);
  const { entries, blobs, bytes, unreferencedBlobs, unreferencedBytes } = looked;
  // What can't be read may name any of them.
  const isKnown =
    !isPartial && findings.every(({ kind }) => kind !== 'entry-damaged' && kind !== 'unreadable');
  if (isKnown && entries === 0 && blobs > 0) {
    terminal.warn(
      `cache: the store holds ${formatCount(blobs, 'blob')}, but no entry at all: nodes find nothing. Is a disk missing that holds its bdir?`,
    );
  } else if (isKnown && unreferencedBlobs > 0) {
    terminal.tell(
      `${formatCount(unreferencedBlobs, 'unnamed blob')} (${formatSize(unreferencedBytes)}): uploaded without a key, or left over; remove with: cache gc --unnamed`,
    );
  }
  const mended = isMending ? `, ${findings.length - left.length} of them mended` : '';
  terminal.tell(
    `${formatCount(entries, 'entry')}, ${formatCount(blobs, 'blob')} (${formatSize(bytes)}${deep ? '' : ', not read: --deep reads them'}): ${findings.length === 0 ? 'nothing wrong' : `${formatCount(findings.length, 'finding')}${mended}`}`,
  );
}

const ADVICE: Readonly<Partial<Record<FindingKind, string>>> = {
  'blob-damaged': 'cache verify --deep --heal-from MEDIUM|STORE|URL puts good copies in their place',
  'blob-missing':
    'cache verify --heal-from MEDIUM|STORE|URL brings missing blobs, as do cache fetch URL and cache import of the archive',
  'entry-damaged': 'cache verify --heal-from MEDIUM|STORE|URL puts good copies in their place',
  unreadable: 'look at the kernel log, and replace the disk: cache sync copies what is still good',
  'entry-untrusted':
    'entries that nobody trusts: add the certificate of their signer to signature-certificate-list, or remove them: cache remove KEY',
  stray: 'cache verify --repair moves strays to quarantine/',
  'mark-damaged': 'cache verify --repair restores store.json',
  forbidden: 'run it as the user whom the store belongs to',
  'record-damaged': 'cache verify --repair moves damaged records of the log to quarantine/',
  'owner-forbidden':
    'give the store back to whom its folder belongs to, as root: chown -R --reference=STORE STORE',
};

function adviceFor(findings: readonly Finding[]): ReadonlySet<string> {
  return new Set(findings.map(({ kind }) => ADVICE[kind]).filter((text) => text !== undefined));
}
