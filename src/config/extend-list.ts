import { LINE_END, parseIni } from './ini.ts';

/** Where the list of trusted certificates is in config.ini. */
export const LIST_SECTION = 'signature';
export const LIST_KEY = 'signature-certificate-list';

/**
 * Adds certificates to `[signature] signature-certificate-list` in the text of a config.ini. Keeps all other bytes, and uses the
 * line ends of the file.
 * @param pems PEM texts
 * @param file name of the text in errors
 * @throws CacheError `config`: the text is no configuration
 */
export function extendCertificateList(text: string, pems: readonly string[], file: string): string {
  const added = pems.flatMap((pem) => pem.trim().split('\n'));
  const end = LINE_END.exec(text)?.[0] ?? '\n';
  const section = parseIni(text, file).get(LIST_SECTION);
  const list = section?.keys.get(LIST_KEY);
  const asKey = [`${LIST_KEY} =`, ...added.map((line) => `    ${line}`)];
  if (section === undefined) {
    const gap = text === '' ? '' : /[\r\n]$/.test(text) ? end : end + end;
    return `${text}${gap}${[`[${LIST_SECTION}]`, ...asKey].join(end)}${end}`;
  }
  if (list === undefined)
    return insertAfter(
      [...section.keys.values()].reduce((last, { lastLine }) => Math.max(last, lastLine), section.line),
      text,
      asKey,
      end,
    );
  const lines = text.split(LINE_END);
  const indentOf = (line: number): string => /^\s*/.exec(lines[line - 1] ?? '')?.[0] ?? '';
  const indent = list.lastLine === list.line ? `${indentOf(list.line)}    ` : indentOf(list.lastLine);
  return insertAfter(
    list.lastLine,
    text,
    added.map((line) => indent + line),
    end,
  );
}

/** @param number of a line, from 1; if it lacks its line end, so does the last inserted line */
function insertAfter(number: number, text: string, lines: readonly string[], end: string): string {
  // Lines and line ends alternate.
  const pieces = text.split(new RegExp(`(${LINE_END.source})`));
  const at = 2 * number - 1;
  return [...pieces.slice(0, at), ...lines.flatMap((line) => [end, line]), ...pieces.slice(at)].join('');
}
