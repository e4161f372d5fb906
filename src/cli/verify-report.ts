import { formatPlatform } from '../cache/platform.ts';
import type { BlobUser } from '../operations/upkeep/blob-users.ts';
import type { Finding, FindingKind } from '../operations/upkeep/finding.ts';
import type { Resolution } from '../operations/upkeep/resolution.ts';
import type { VerifyCounts } from '../operations/upkeep/verification.ts';
import { withUrl, type JsonOutput } from './json-output.ts';
import { formatCount, formatSize } from './terminal/format.ts';
import type { Terminal } from './terminal/terminal.ts';
import { asOneLine } from '../cache/controls.ts';

/** A finding, and its resolution if `--heal-from` or `--repair` was given. */
export interface ResolvedFinding extends Finding {
  readonly resolution?: Resolution;
}

/** The result of a verification. */
export interface VerifyReport {
  readonly findings: readonly ResolvedFinding[];
  readonly looked: VerifyCounts;
  /** Entries that need the blobs still damaged. */
  readonly affected: readonly BlobUser[];
}

/** A stray in quarantine is resolved; a release in quarantine is missing from the store. */
export function isResolved({ kind, resolution }: ResolvedFinding): boolean {
  const outcome = resolution?.outcome;
  if (outcome === 'quarantined') return kind === 'stray';
  return outcome !== undefined && outcome !== 'left';
}

/** As it is shown with `--json`. */
export function toJson({ findings, looked, affected }: VerifyReport): JsonOutput<'verify'> {
  const { entries, blobs, bytes: size, unreferencedBlobs, unreferencedBytes } = looked;
  return {
    findings: findings.map(({ problem: reason, resolution, ...finding }) => ({
      ...{ ...withUrl(finding), reason, ...(resolution ? resolutionJson(resolution) : { status: 'found' }) },
    })),
    counts: { entries, blobs, size, unnamedBlobs: unreferencedBlobs, unnamedSize: unreferencedBytes },
    affected: affected.map(withUrl),
  };
}

function resolutionJson({ outcome: status, ...resolution }: Resolution) {
  if (!('reasons' in resolution)) return { status, ...resolution };
  return { status, attempts: resolution.reasons };
}

/** Prints a line for grep, with details indented below it. */
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
          resolution.quarantined === undefined ? '' : `; the damaged object is in ${resolution.quarantined}`,
        ].join(''),
      ];
    case 'quarantined':
      return [`moved to ${resolution.quarantined}`];
    case 'removed':
      return ['removed'];
    case 'gone':
      return ['gone or sound by now'];
    case 'left':
      return ['left as it is', ...resolution.reasons.map((reason) => `  ${reason}`)];
  }
}

/** Options of the run, for the summary. */
export interface VerifyRun {
  readonly deep: boolean;
  readonly isResolving: boolean;
  /** Whether it skipped older objects. */
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
    terminal.tell(
      'quarantine/ of the store keeps the damaged objects; remove them when you no longer need them',
    );
  const left = findings.filter((finding) => !isResolved(finding));
  if (left.length > 0) for (const line of adviceFor(left)) terminal.tell(line);
  const { entries, blobs, bytes, unreferencedBlobs, unreferencedBytes } = looked;
  // An unreadable entry may name any of them.
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
  'blob-damaged': 'to replace damaged blobs: cache verify --deep --heal-from MEDIUM|STORE|URL',
  'blob-missing':
    'to get missing blobs: cache verify --heal-from MEDIUM|STORE|URL, cache fetch URL, or cache import ARCHIVE',
  'entry-damaged': 'to replace damaged entries: cache verify --heal-from MEDIUM|STORE|URL',
  unreadable:
    'unreadable objects: look at the kernel log, and replace the disk; cache sync copies the readable ones',
  'entry-untrusted':
    'entries that no trusted certificate verifies: add the certificate of their signer to signature-certificate-list, or remove them: cache remove KEY',
  stray: 'to move strays to quarantine/: cache verify --repair',
  'mark-damaged': 'to restore store.json: cache verify --repair',
  forbidden: 'run this command as the owner of the store',
  'record-damaged': 'to move damaged log records to quarantine/: cache verify --repair',
  'owner-forbidden': 'give all files to the owner of the store, as root: chown -R --reference=STORE STORE',
};

function adviceFor(findings: readonly Finding[]): ReadonlySet<string> {
  return new Set(findings.map(({ kind }) => ADVICE[kind]).filter((text) => text !== undefined));
}
