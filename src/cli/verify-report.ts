import { formatPlatform } from '../cache/platform.ts';
import type { BlobUser } from '../operations/upkeep/blob-users.ts';
import type { Finding, FindingKind } from '../operations/upkeep/finding.ts';
import type { Resolution } from '../operations/upkeep/resolution.ts';
import type { VerifyCounts } from '../operations/upkeep/verification.ts';
import { formatCount, formatSize } from './terminal/format.ts';
import type { Terminal } from './terminal/terminal.ts';
import { asOneLine } from '../cache/controls.ts';

/** A finding, and its resolution if `--heal-from` or `--repair` was given. */
export interface ResolvedFinding extends Finding {
  readonly resolution?: Resolution;
}

/** What a verification ends with. */
export interface VerifyReport {
  readonly findings: readonly ResolvedFinding[];
  readonly looked: VerifyCounts;
  /** Who needs the blobs that are still damaged. */
  readonly affected: readonly BlobUser[];
}

/** A stray in quarantine is resolved; a release in quarantine is missing from the store. */
export function isResolved({ kind, resolution }: ResolvedFinding): boolean {
  const outcome = resolution?.outcome;
  if (outcome === 'quarantined') return kind === 'stray';
  return outcome !== undefined && outcome !== 'left';
}

/** A line that greps well, and lines with what else is known below it. */
export function printFinding(finding: ResolvedFinding, terminal: Terminal): void {
  const { kind, path, problem, softwareUrl, resolution } = finding;
  terminal.print(asOneLine(`${kind}: ${path}: ${problem}`));
  if (softwareUrl !== undefined) terminal.print(`  of ${asOneLine(softwareUrl)}`);
  if (resolution !== undefined) for (const line of describe(resolution)) terminal.print(`  ${line}`);
}

function describe(resolution: Resolution): readonly string[] {
  switch (resolution.outcome) {
    case 'healed':
      return [
        [
          'healed',
          resolution.source === undefined ? '' : ` from ${resolution.source}`,
          resolution.quarantined === undefined ? '' : `; what stood there is in ${resolution.quarantined}`,
        ].join(''),
      ];
    case 'quarantined':
      return [`moved to ${resolution.quarantined}`];
    case 'removed':
      return ['removed'];
    case 'gone':
      return ['by now it is gone, or all right'];
    case 'left':
      return ['left as it is', ...resolution.reasons.map((reason) => `  ${reason}`)];
  }
}

/** What was done, for the summary. */
export interface VerifyRun {
  readonly deep: boolean;
  readonly isResolving: boolean;
  /** Whether older ones were passed over. */
  readonly isPartial: boolean;
}

export function printSummary(
  { findings, looked, affected }: VerifyReport,
  { deep, isResolving, isPartial }: VerifyRun,
  terminal: Terminal,
): void {
  for (const { softwareUrl, key, platform, sha512 } of affected) {
    const what = platform === undefined ? '' : ` for ${formatPlatform(platform)}`;
    terminal.warn(
      `cache: ${asOneLine(softwareUrl ?? key)}${what} can't be installed: it needs the blob ${sha512}`,
    );
  }
  const isKept = ({ resolution }: ResolvedFinding): boolean =>
    (resolution?.outcome === 'healed' || resolution?.outcome === 'quarantined') &&
    resolution.quarantined !== undefined;
  if (findings.some(isKept))
    terminal.tell('what was bad is kept in quarantine/ of the store; remove it when it is of no more use');
  const left = findings.filter((finding) => !isResolved(finding));
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
  const resolved = isResolving ? `, ${findings.length - left.length} of them resolved` : '';
  terminal.tell(
    `${formatCount(entries, 'entry')}, ${formatCount(blobs, 'blob')} (${formatSize(bytes)}${deep ? '' : ', not read: --deep reads them'}): ${findings.length === 0 ? 'nothing wrong' : `${formatCount(findings.length, 'finding')}${resolved}`}`,
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
