import type { CommandUnknownOpts } from '@commander-js/extra-typings';
import { softwareUrls } from '../../operations/lookup.ts';
import { versionedNameOf } from '../../release/release-name.ts';
import { candidatesFor, type Candidate } from '../completion.ts';
import { completionScript, type Shell } from '../completion-scripts.ts';
import { openSite } from '../site.ts';
import { createTerminal } from '../terminal/terminal.ts';

/** Milliseconds in which releases are read, because a person waits; those that were read by then are offered. */
const LIMIT_MS = 1000;

/** Prints the script of a shell; with words, the candidates for the last word, as the script reads them. */
export async function complete(
  program: CommandUnknownOpts,
  shell: Shell,
  words: readonly string[],
): Promise<void> {
  const terminal = createTerminal({ quiet: true });
  if (words.length === 0) {
    terminal.print(completionScript(shell).trimEnd());
    return;
  }
  const { candidates, wantsReleases, config } = candidatesFor(program, words);
  const { releases, isComplete } = wantsReleases
    ? await releasesFor(words.at(-1) ?? '', config)
    : { releases: [], isComplete: true };
  for (const candidate of [...candidates, ...releases]) terminal.print(FORMATS[shell](candidate));
  // Otherwise the reading would go on.
  if (!isComplete) process.exit();
}

/** The line of a candidate. */
const FORMATS: Readonly<Record<Shell, (candidate: Candidate) => string>> = {
  bash: ({ word }) => word,
  zsh: ({ word, description }) => `${word.replaceAll(':', '\\:')}:${description}`,
  fish: ({ word, description }) => `${word}\t${description}`,
};

/** Characters without a meaning for any shell: a completed URL, which a stranger may have chosen, must not run a program. */
const PLAIN = /^[\w@%+=:,./-]+$/;

/**
 * The releases that a word begins: by their names, or by their URLs if they have none or no name begins so.
 * @param file the configuration, if it is named
 * @throws CacheError
 */
async function releasesFor(
  word: string,
  file: string | undefined,
): Promise<{ readonly releases: readonly Candidate[]; readonly isComplete: boolean }> {
  const site = await openSite({ ...(file === undefined ? {} : { config: file }), quiet: true });
  const configured = [...site.config.software, ...site.config.pin];
  const urls = new Set(configured.map(([, url]) => url));
  const isComplete = await withinLimit(async () => {
    const { directory } = await site.store('read');
    for await (const url of softwareUrls(directory)) urls.add(url);
  });
  const names = [...urls].map((url) => [versionedNameOf(url) ?? url, url] as const);
  const counts = new Map<string, number>();
  for (const [name] of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  // A name of several releases is refused.
  const named = [...configured, ...names.filter(([name]) => counts.get(name) === 1)];
  const candidates = (pairs: Iterable<readonly [string, string]>): readonly Candidate[] =>
    [...pairs]
      .filter(([name]) => name.startsWith(word) && PLAIN.test(name))
      .map(([name, url]) => ({ word: name, description: url }));
  const releases = candidates(named);
  return {
    releases: releases.length > 0 ? releases : candidates([...urls].map((url) => [url, url])),
    isComplete,
  };
}

/** @returns whether it has ended in time; otherwise it goes on */
async function withinLimit(read: () => Promise<void>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<false>((resolve) => {
    timer = setTimeout(resolve, LIMIT_MS, false);
  });
  try {
    return await Promise.race([read().then(() => true), late]);
  } finally {
    clearTimeout(timer);
  }
}
