import { formatPlatform, type Platform } from '../../cache/platform.ts';
import { formatSize } from '../../cache/amount.ts';
import { quoteForShell } from '../../cache/shell.ts';
import { CopyBlock } from './common.tsx';
import { Document } from './document.tsx';
import { releaseLink, withQuery } from './links.ts';
import { Outside, visible } from './outside.tsx';
import type { InstallCheck } from './page-parts.ts';
import type { View } from './view.ts';

export interface CheckPageProps {
  readonly view: View;
  /** As they were sent. */
  readonly asked: { readonly url: string; readonly os: string; readonly multiarch: string };
  /** Systems to choose from, such as `debian,12,bookworm`. */
  readonly systems: readonly string[];
  readonly multiarchs: readonly string[];
  readonly result: CheckResult | undefined;
}

export type CheckResult =
  | { readonly machine: Platform; readonly check: InstallCheck }
  /** What is wrong with the question. */
  | { readonly fault: string };

/** `/check`: whether a node can install a release, as `cache check` answers. */
export function CheckPage({ view, asked, systems, multiarchs, result }: CheckPageProps) {
  return (
    <Document title="Check" current="check" {...view}>
      <h1>Can a node install it?</h1>
      <p class="lead">
        Nodes find a release by its exact URL, for their own platform, with a signature that they trust.
      </p>
      <form class="search spaced" action={`${view.root}check`} method="get">
        <div class="field grow">
          <label for="url">Software URL, or a name such as rapid-cdn@1.0.344</label>
          <input id="url" name="url" value={asked.url} required autocomplete="off" spellcheck={false} />
        </div>
        <div class="field">
          <label for="os">System of the node, such as debian-12</label>
          <input id="os" name="os" value={asked.os} list="systems" required autocomplete="off" />
          <datalist id="systems">
            {systems.map((system) => (
              <option value={system}></option>
            ))}
          </datalist>
        </div>
        <div class="field">
          <label for="multiarch">Multiarch (gcc -dumpmachine)</label>
          <input
            id="multiarch"
            name="multiarch"
            value={asked.multiarch}
            placeholder="x86_64-linux-gnu"
            list="multiarchs"
            autocomplete="off"
          />
          <datalist id="multiarchs">
            {multiarchs.map((multiarch) => (
              <option value={multiarch}></option>
            ))}
          </datalist>
        </div>
        <button type="submit">Check</button>
      </form>
      {result !== undefined &&
        ('fault' in result ? (
          <div class="note warn">
            <p>
              <Outside text={result.fault} />
            </p>
          </div>
        ) : (
          <Answer view={view} {...result} />
        ))}
    </Document>
  );
}

function Answer({ view, machine, check }: { view: View; machine: Platform; check: InstallCheck }) {
  const { root } = view;
  const { url, key, problem, chosen, platforms, suggestions, notes } = check;
  const { os, multiarch } = machine;
  const question = { os: os.join(','), multiarch };
  return (
    <section aria-labelledby="verdict">
      <div class={`note ${problem === undefined ? 'good' : 'bad'}`}>
        <p class="verdict" id="verdict">
          {problem === undefined ? '✔ Yes' : '✖ No'}
          {': '}
          <Outside text={problem ?? `a node of ${formatPlatform(machine)} installs it`} />
        </p>
        <p class="mono">
          <Outside text={url} />
        </p>
      </div>
      {notes.map((note) => (
        <div class="note warn">
          <p>
            <Outside text={note} />
          </p>
        </div>
      ))}
      <dl class="pairs answer">
        <dt>node</dt>
        <dd>
          <Outside text={formatPlatform(machine)} />
        </dd>
        <dt>key</dt>
        <dd class="mono">
          {platforms.length > 0 || chosen !== undefined ? (
            <a href={releaseLink(root, key)}>
              <Outside text={key} />
            </a>
          ) : (
            <Outside text={key} />
          )}
        </dd>
        {chosen !== undefined && (
          <>
            <dt>sha512</dt>
            <dd>
              <code>{chosen.sha512}</code>
            </dd>
            <dt>size</dt>
            <dd>{chosen.size === undefined ? 'blob missing' : formatSize(chosen.size)}</dd>
          </>
        )}
        {platforms.length > 0 && (
          <>
            <dt>builds for</dt>
            <dd>
              <Outside text={platforms.map(formatPlatform).join(', ')} />
            </dd>
          </>
        )}
      </dl>
      {suggestions.length > 0 && (
        <>
          <h2>Did you mean</h2>
          <ul class="list mono">
            {suggestions.map((suggestion) => (
              <li>
                <a href={withQuery(`${root}check`, { url: suggestion, ...question })}>
                  <Outside text={suggestion} />
                </a>
              </li>
            ))}
          </ul>
        </>
      )}
      {problem !== undefined && (
        <>
          <h2>What helps</h2>
          <p class="small muted">On the machine of this cache, this command names the fix:</p>
          <CopyBlock text={commandFor(check, machine)} what="the command that names the fix" />
        </>
      )}
    </section>
  );
}

function commandFor({ url }: InstallCheck, { os, multiarch }: Platform): string {
  const words = ['--os', os.join(','), '--multiarch', multiarch, url];
  return ['cache check', ...words.map((word) => quoteForShell(visible(word)))].join(' ');
}
