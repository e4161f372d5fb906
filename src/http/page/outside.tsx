import type { Child } from 'hono/jsx';

/**
 * Characters that are invisible, or change the order or line of shown text: control and format characters, separators,
 * lone surrogates (Unicode general categories Cc, Cf, Zl, Zp, Cs).
 */
const HIDDEN = /([\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}])/u;

/** Text from outside, such as a URL or the subject of a certificate, in one line: hidden characters show as `\u202e`. */
export function visible(text: string): string {
  return text
    .split(HIDDEN)
    .map((part, index) => (index % 2 === 1 ? escape(part) : part))
    .join('');
}

/** The same as an element, apart from the direction of the text around it. */
export function Outside({ text }: { readonly text: string }) {
  return (
    <bdi>
      {text
        .split(HIDDEN)
        .map((part, index) => (index % 2 === 1 ? <b class="escape">{escape(part)}</b> : breakable(part)))}
    </bdi>
  );
}

/** More folders than a URL of a release has. */
const BREAKS_LIMIT = 20;

/** A line may end after each folder of a URL. */
function breakable(text: string): Child {
  const parts = text.split(/(?<=[^/:]\/)/);
  if (parts.length > BREAKS_LIMIT) return text;
  return parts.flatMap((part, index) => (index === 0 ? [part] : [<wbr />, part]));
}

function escape(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  return code > 0xffff ? `\\u{${code.toString(16)}}` : `\\u${code.toString(16).padStart(4, '0')}`;
}
