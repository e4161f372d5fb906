import { CERTIFICATE_END, parseCertificateList } from './certificate-list.ts';
import { LIST_KEY, LIST_SECTION } from './extend-list.ts';
import { LINE_END, parseIni } from './ini.ts';

/**
 * Removes certificates from `[signature] signature-certificate-list` in the text of a config.ini. Keeps all other bytes, also
 * the key of a list that becomes empty, and comments inside a removed certificate.
 * @param isRemoved is asked about each certificate of the list, a PEM text
 * @param file name of the text in errors
 * @throws CacheError `config`: the text is no configuration; `usage`: the list has anything but certificates
 */
export function reduceCertificateList(
  text: string,
  isRemoved: (pem: string) => boolean,
  file: string,
): string {
  const list = parseIni(text, file).get(LIST_SECTION)?.keys.get(LIST_KEY);
  if (list === undefined) return text;
  // Lines and line ends alternate.
  const pieces = text.split(new RegExp(`(${LINE_END.source})`));
  let block: { readonly index: number; readonly content: string }[] = [];
  for (let line = list.line; line <= list.lastLine; line++) {
    const index = 2 * (line - 1);
    const whole = pieces[index] ?? '';
    const start = line === list.line ? whole.search(/[=:]/) + 1 : 0;
    const content = whole.slice(start).trim();
    if (content === '' || (start === 0 && /^[#;]/.test(content))) continue;
    block.push({ index, content });
    if (content !== CERTIFICATE_END) continue;
    const [pem = ''] = parseCertificateList(block.map((part) => part.content).join('\n'));
    if (isRemoved(pem)) for (const part of block) cut(part.index);
    block = [];
  }
  return pieces.join('');

  function cut(index: number): void {
    const isOfKey = list !== undefined && index === 2 * (list.line - 1);
    const whole = pieces[index] ?? '';
    pieces[index] = isOfKey ? whole.slice(0, whole.search(/[=:]/) + 1) : '';
    if (!isOfKey && index + 1 < pieces.length) pieces[index + 1] = '';
  }
}
