/**
 * Characters that control a terminal or change the order or line of shown text: control characters, line and paragraph
 * separators, direction overrides (UAX #9, "Directional Formatting Characters").
 */
const CONTROLS = /[^\P{Cc}\n\t]|[\u2028\u2029\u202A-\u202E\u2066-\u2069]/gu;
const BREAKS = /[\n\t]/g;

/**
 * Makes text from outside, such as file names, URLs and server answers, safe for a terminal. Escapes controls as JSON
 * does, so that JSON keeps its meaning; keeps line feeds and tabs, which our own texts contain.
 */
export function withoutControls(text: string): string {
  return text.replace(CONTROLS, escape);
}

/** The same for part of a line, such as a table cell: a name must not begin a new line. */
export function asOneLine(text: string): string {
  return withoutControls(text).replace(BREAKS, escape);
}

function escape(control: string): string {
  return `\\u${control.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
