// Parts of manual pages, in the macros of man(7).

/** Text as it is read, in one paragraph or line. */
export function text(plain: string): string {
  return plain
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll("'", '\\(aq')
    .replaceAll('`', '\\(ga')
    .replaceAll('^', '\\(ha')
    .replaceAll('~', '\\(ti')
    .replace(
      /[^\0-\x7f]/gu,
      (char) => `\\[u${(char.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, '0')}]`,
    )
    .replace(/^\./gm, '\\&.');
}

/** The first line of a page. @param seconds since 1970 */
export function title(name: string, section: number, seconds: number, version: string): string {
  const date = new Date(seconds * 1000).toISOString().slice(0, 10);
  return `.TH ${name} ${section} ${date} "shacache ${version}" shacache`;
}

export function section(heading: string): string {
  return `.SH ${text(heading)}`;
}

export function subsection(heading: string): string {
  return `.SS ${text(heading)}`;
}

export function paragraph(plain: string): string {
  return `.PP\n${text(plain)}`;
}

/** A description below its terms. */
export function described(terms: readonly string[], description: string): string {
  return (
    terms.map((term, index) => `${index === 0 ? '.TP' : '.TQ'}\n\\fB${text(term)}\\fR`).join('\n') +
    `\n${text(description)}`
  );
}

/** A further paragraph of the description above. */
export function continued(plain: string): string {
  return `.IP\n${text(plain)}`;
}

/** Lines as they are, indented. */
export function example(lines: readonly string[]): string {
  return ['.IP', '.EX', ...lines.map(text), '.EE'].join('\n');
}
