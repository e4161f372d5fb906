import { formatCount, formatSize } from '../cache/amount.ts';
import { formatPlatform } from '../cache/platform.ts';
import type { Config } from '../config/config.ts';
import { commandOf } from '../operations/command-line.ts';
import type { BlobUser } from '../operations/upkeep/blob-users.ts';
import type { Finding, FindingKind } from '../operations/upkeep/finding.ts';
import type { Resolution } from '../operations/upkeep/resolve-findings.ts';
import type { VerifyCounts } from '../operations/upkeep/verification.ts';
import { withUrl, type JsonOutput } from './json-output.ts';
import type { CommandSite } from './site.ts';
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

/** Prints a line for grep, which names the release if an entry does, with details indented below it. */
export function printFinding(finding: ResolvedFinding, terminal: Terminal): void {
  const { kind, path, problem, sha512, softwareUrl, key, resolution } = finding;
  // The path of an entry has its key.
  const name = softwareUrl ?? (sha512 === undefined ? undefined : key);
  terminal.say(asOneLine(`${kind}: ${name ?? path}: ${problem}`));
  if (name !== undefined) terminal.say(`  ${asOneLine(path)}`);
  if (resolution !== undefined) for (const line of describe(resolution)) terminal.say(`  ${line}`);
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
  { config, terminal }: CommandSite,
): void {
  for (const { softwareUrl, key, platform } of affected) {
    const what = platform === undefined ? '' : ` for ${formatPlatform(platform)}`;
    terminal.warn(
      `cache: ${asOneLine(softwareUrl ?? key)}${what} can't be installed: its blob is damaged or missing`,
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
  if (left.length > 0) for (const line of adviceFor(left, config)) terminal.tell(line);
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
      `${formatCount(unreferencedBlobs, 'unnamed blob')} (${formatSize(unreferencedBytes)}): uploaded without a key, or left over; remove with: ${commandOf(config, 'gc --unnamed')}`,
    );
  }
  const resolved = isResolving ? `, ${findings.length - left.length} of them resolved` : '';
  terminal.tell(
    `${formatCount(entries, 'entry')}, ${formatCount(blobs, 'blob')} (${formatSize(bytes)}${deep ? '' : ', not read: --deep reads them'}): ${findings.length === 0 ? 'nothing wrong' : `${formatCount(findings.length, 'finding')}${resolved}`}`,
  );
}

/** What `PLACE` stands for. */
const PLACE = 'a medium, a store or the URL of a cache';

type Advice = (command: (call: string) => string) => string;

const ADVICE: Readonly<Partial<Record<FindingKind, Advice>>> = {
  'blob-damaged': (command) =>
    `to replace damaged blobs: ${command('verify --deep --heal-from PLACE')}, from ${PLACE}`,
  'blob-missing': (command) =>
    `to get missing blobs: ${command('verify --heal-from PLACE')}, ${command('fetch URL')}, or ${command('import ARCHIVE')}`,
  'entry-damaged': (command) =>
    `to replace damaged entries: ${command('verify --heal-from PLACE')}, from ${PLACE}`,
  unreadable: () =>
    'unreadable objects: look at the kernel log, and replace the disk; cache sync copies the readable ones',
  'entry-untrusted': (command) =>
    `entries that no trusted certificate verifies: add the certificate of their signer to signature-certificate-list, or remove them: ${command('remove KEY')}`,
  stray: (command) => `to move strays to quarantine/: ${command('verify --repair')}`,
  'mark-damaged': (command) => `to restore store.json: ${command('verify --repair')}`,
  forbidden: () => 'run this command as the owner of the store',
  'record-damaged': (command) => `to move damaged log records to quarantine/: ${command('verify --repair')}`,
  'owner-forbidden': () =>
    'give all files to the owner of the store, as root: chown -R --reference=STORE STORE',
};

function adviceFor(findings: readonly Finding[], config: Config): ReadonlySet<string> {
  const command = (call: string): string => commandOf(config, call);
  return new Set(findings.flatMap(({ kind }) => ADVICE[kind]?.(command) ?? []));
}
