import type { CatalogState } from '../../cache/catalog.ts';
import type { Platform } from '../../cache/platform.ts';
import type { SignerName } from '../../cache/signature.ts';
import { formatSize } from '../../cache/amount.ts';
import { Outside, visible } from './outside.tsx';

/** `2026-11-20 21:34`, in UTC: the zone of the reader is unknown. */
export function Time({ date }: { readonly date: Date }) {
  const text = date.toISOString();
  return <time datetime={text}>{`${text.slice(0, 10)} ${text.slice(11, 16)}`}</time>;
}

export function Size({ size }: { readonly size: number | undefined }) {
  return <span>{size === undefined ? '–' : formatSize(size)}</span>;
}

/** At most two lines; the tooltip has all. */
export function Cut({ text }: { readonly text: string }) {
  return (
    <span class="cut" title={visible(text)}>
      <Outside text={text} />
    </span>
  );
}

export function PlatformName({ platform: { multiarch, os } }: { readonly platform: Platform }) {
  return (
    <>
      <Outside text={os.slice(0, 2).join(' ')} />
      <small>
        <Outside text={multiarch} />
      </small>
    </>
  );
}

/** Whose signature counts, and whether the blob is there. */
export function State({
  signer,
  isMissing,
}: {
  readonly signer: SignerName | undefined;
  readonly isMissing: boolean;
}) {
  return (
    <div class="badges">
      {signer === undefined ? (
        <span class="badge warn" title="No trusted certificate verifies the signature: nodes skip the entry">
          <i aria-hidden="true">⚠</i> <span>untrusted</span>
        </span>
      ) : (
        <span class="badge good" title={`SHA-256 ${signer.fingerprint}`}>
          <i aria-hidden="true">✔</i>
          <span>
            <span class="sr">signed by </span>
            <Outside text={signer.name} />
          </span>
        </span>
      )}
      {isMissing && (
        <span class="badge bad" title="The entry names a blob that the store does not have">
          <i aria-hidden="true">✖</i> <span>blob missing</span>
        </span>
      )}
    </div>
  );
}

/** A command or a file to copy; a script adds the button. @param what ends the sentence "Copy …" */
export function CopyBlock({
  text,
  what,
  isFile = false,
}: {
  readonly text: string;
  readonly what: string;
  /** Its lines are not wrapped. */
  readonly isFile?: boolean;
}) {
  return (
    <div class={isFile ? 'block file' : 'block'} data-copy={what}>
      <pre tabindex={0} aria-label={what} role="region">
        <code>{visibleLines(text)}</code>
      </pre>
    </div>
  );
}

/** Keeps line feeds: those of the text itself, whose parts from outside are escaped or quoted. */
function visibleLines(text: string): string {
  return text.split('\n').map(visible).join('\n');
}

/** Says that numbers and results may lack something. */
export function IndexNote({ state }: { readonly state: CatalogState }) {
  if (state.fault !== undefined)
    return (
      <div class="note warn">
        <p>
          There is no list of releases: {visible(state.fault)}. Nodes are served; “Check” finds any release.
        </p>
      </div>
    );
  if (state.isComplete) return null;
  return (
    <div class="note">
      <p>The store is still being read: numbers and results grow. Nodes are served.</p>
    </div>
  );
}

/** @param fault why a list is not what was asked for */
export function QueryFault({ fault }: { readonly fault: string }) {
  return (
    <div class="note warn">
      <p>
        This is the whole list, because the link to it is wrong: <Outside text={fault} />
      </p>
    </div>
  );
}

/** Links to the first and the next page of a list; undefined: there is none to go to. */
export function PageLinks({
  label,
  first,
  next,
}: {
  readonly label: string;
  readonly first: { readonly text: string; readonly href: string | undefined };
  readonly next: { readonly text: string; readonly href: string | undefined };
}) {
  if (first.href === undefined && next.href === undefined) return null;
  return (
    <nav class="pages" aria-label={label}>
      {first.href !== undefined && <a href={first.href}>{first.text}</a>}
      {next.href !== undefined && (
        <a href={next.href} rel="next">
          {next.text}
        </a>
      )}
    </nav>
  );
}
