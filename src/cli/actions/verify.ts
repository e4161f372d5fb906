import { parseDuration } from '../../config/duration.ts';
import { parseSize } from '../../config/size.ts';
import { CacheError } from '../../cache/errors.ts';
import { createResolver } from '../../operations/upkeep/resolve-findings.ts';
import { findUsers, type BlobUser } from '../../operations/upkeep/blob-users.ts';
import { createPace } from '../../operations/upkeep/pace.ts';
import { verifyStore } from '../../operations/upkeep/verify-store.ts';
import type { VerifyOptions } from '../commands/verify.ts';
import { EXIT, endWith } from '../exit-code.ts';
import { printJson } from '../json-output.ts';
import { parseOption } from '../parse-option.ts';
import { openSource, urlsOfPlace } from '../store-location.ts';
import { checkCa, warnOfDoubts } from '../servers.ts';
import type { Store } from '../../cache/store.ts';
import { openStoreSite, type CommandSite } from '../site.ts';
import { createProgress, type Progress } from '../terminal/progress.ts';
import {
  isResolved,
  printFinding,
  printSummary,
  toJson,
  type ResolvedFinding,
  type VerifyReport,
} from '../verify-report.ts';

export async function verify(options: VerifyOptions): Promise<void> {
  const { quiet = false, json = false, deep = false, repair = false, healFrom = [] } = options;
  const site = await openStoreSite(options);
  const { terminal } = site;
  await checkCa(
    options.ca,
    healFrom.map((place) => urlsOfPlace('--heal-from', place, site)),
    terminal,
  );
  const isResolving = repair || healFrom.length > 0;
  const store = await site.store(isResolving ? 'upkeep' : 'inspect');
  const progress = createProgress(undefined, { quiet });
  try {
    const report = await run(store, site, options, progress);
    progress.clear();
    if (json) printJson('verify', toJson(report), terminal);
    else {
      printSummary(report, { deep, isResolving, isPartial: options.since !== undefined }, site);
    }
    if (!report.findings.every(isResolved)) endWith(EXIT.incomplete);
  } finally {
    progress.clear();
  }
}

async function run(
  store: Store,
  { terminal, ...site }: CommandSite,
  {
    deep = false,
    since,
    repair = false,
    healFrom = [],
    ca,
    rate,
    json = false,
    quiet = false,
  }: VerifyOptions,
  progress: Progress,
): Promise<VerifyReport> {
  const trusted = await site.trusted();
  const verifying = verifyStore(store, {
    ...{ trusted, deep },
    onMore: (bytes) => {
      progress.expect(bytes);
    },
    onProgress: (name, bytes) => {
      progress.advance(name, bytes);
    },
    allowUnsigned: site.config.upload.allowUnsigned,
    since: since === undefined ? undefined : Date.now() - parseOption('--since', () => parseDuration(since)),
    pace: createPace({ rate: rate === undefined ? undefined : parseRate(rate) }),
  });
  const sources = await Promise.all(healFrom.map((place) => openSource('--heal-from', place, site, { ca })));
  const isResolving = repair || sources.length > 0;
  const healing = createProgress(undefined, { quiet });
  const resolve = createResolver(store, {
    ...{ repair, sources, trusted },
    onProgress: (path, bytes) => {
      healing.advance(path, bytes);
    },
  });
  const findings: ResolvedFinding[] = [];
  for (;;) {
    const step = await verifying.next();
    if (step.done) {
      progress.clear();
      for (const source of sources) await warnOfDoubts(source, terminal);
      return { findings, looked: step.value, affected: await findAffected(store, findings) };
    }
    const found = isResolving ? { ...step.value, resolution: await resolve(step.value) } : step.value;
    findings.push(found);
    progress.clear();
    if (!json) printFinding(found, terminal);
  }
}

async function findAffected(
  { directory }: Store,
  findings: readonly ResolvedFinding[],
): Promise<readonly BlobUser[]> {
  const bad = findings.filter(
    (finding) => finding.entry === undefined && finding.sha512 !== undefined && !isResolved(finding),
  );
  return findUsers(new Set(bad.map(({ sha512 }) => sha512)), directory);
}

function parseRate(text: string): number {
  const rate = parseOption('--rate', () => parseSize(text.replace(/\/s$/, '')));
  if (rate === 0)
    throw new CacheError('usage', '--rate: 0 would never end; write bytes a second, such as 50M');
  return rate;
}
