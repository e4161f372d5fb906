import { parseDuration } from '../../config/duration.ts';
import { parseSize } from '../../config/size.ts';
import { CacheError } from '../../cache/errors.ts';
import { createMender } from '../../operations/upkeep/mend.ts';
import { findUsers, type BlobUser } from '../../operations/upkeep/blob-users.ts';
import { createPace } from '../../operations/upkeep/pace.ts';
import { verifyStore } from '../../operations/upkeep/verify-store.ts';
import type { VerifyOptions } from '../commands/verify.ts';
import { EXIT, endWith } from '../exit-code.ts';
import { parseOption } from '../parse-option.ts';
import { openSource } from '../store-location.ts';
import { checkCa } from '../servers.ts';
import type { Store } from '../../cache/store.ts';
import { openStoreSite, type CommandSite } from '../site.ts';
import { createProgress, type Progress } from '../terminal/progress.ts';
import {
  isMended,
  printFinding,
  printSummary,
  type MendedFinding,
  type VerifyReport,
} from '../verify-report.ts';

export async function verify(options: VerifyOptions): Promise<void> {
  const { quiet = false, json = false, deep = false, repair = false, healFrom = [] } = options;
  const site = await openStoreSite(options);
  const { terminal } = site;
  await checkCa(options.ca, healFrom, terminal);
  const store = await site.store('upkeep');
  const progress = createProgress(undefined, { quiet });
  try {
    const report = await run(store, site, options, progress);
    progress.clear();
    if (json) terminal.print(JSON.stringify(report, undefined, 2));
    else {
      const isMending = repair || healFrom.length > 0;
      printSummary(report, { deep, isMending, isPartial: options.since !== undefined }, terminal);
    }
    if (!report.findings.every(isMended)) endWith(EXIT.incomplete);
  } finally {
    progress.clear();
  }
}

async function run(
  store: Store,
  { terminal, ...site }: CommandSite,
  { deep = false, since, repair = false, healFrom = [], ca, rate, json = false }: VerifyOptions,
  progress: Progress,
): Promise<VerifyReport> {
  const trusted = await site.trusted();
  const onProgress = (path: string, bytes: number): void => {
    progress.advance(path, bytes);
  };
  const verifying = verifyStore(store, {
    ...{ trusted, deep, onProgress },
    allowUnsigned: site.config.upload.allowUnsigned,
    since:
      since === undefined ? undefined : Date.now() - parseOption('--since', () => parseDuration(since, 'd')),
    pace: createPace({ rate: rate === undefined ? undefined : parseRate(rate) }),
  });
  const sources = await Promise.all(healFrom.map((place) => openSource('--heal-from', place, site, { ca })));
  const isMending = repair || sources.length > 0;
  const mend = createMender(store, { repair, sources, trusted, onProgress });
  const findings: MendedFinding[] = [];
  for (;;) {
    const step = await verifying.next();
    if (step.done) return { findings, looked: step.value, affected: await findAffected(store, findings) };
    const found = isMending ? { ...step.value, mended: await mend(step.value) } : step.value;
    findings.push(found);
    progress.clear();
    if (!json) printFinding(found, terminal);
  }
}

async function findAffected(
  { directory }: Store,
  findings: readonly MendedFinding[],
): Promise<readonly BlobUser[]> {
  const bad = findings.filter(
    (finding) => finding.entry === undefined && finding.sha512 !== undefined && !isMended(finding),
  );
  return findUsers(new Set(bad.map(({ sha512 }) => sha512)), directory);
}

function parseRate(text: string): number {
  const rate = parseOption('--rate', () => parseSize(text.replace(/\/s$/, '')));
  if (rate === 0)
    throw new CacheError('usage', '--rate: 0 would never end; write bytes a second, such as 50M');
  return rate;
}
