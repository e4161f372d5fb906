/**
 * What terminals act on, and what makes them show text in another order or on another line than it stands: control characters,
 * the separators of lines and paragraphs, the overrides of direction (UAX #9, "Directional Formatting Characters").
 */
const CONTROLS = /[^\P{Cc}\n\t]|[\u2028\u2029\u202A-\u202E\u2066-\u2069]/gu;
const BREAKS = /[\n\t]/g;

/**
 * What a terminal may be shown: names of files, URLs, subjects of certificates, answers of servers may hold anything. Controls are
 * shown as JSON writes them, so JSON stays the JSON that it is. Line feeds and tabs stay, because our own texts have them.
 */
export function withoutControls(text: string): string {
  return text.replace(CONTROLS, escape);
}

/** The same for a piece of a line, such as a cell of a table: a name must not begin a line of its own. */
export function asOneLine(text: string): string {
  return withoutControls(text).replace(BREAKS, escape);
}

function escape(control: string): string {
  return `\\u${control.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
