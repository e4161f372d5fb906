import { keyOfSoftwareUrl } from '../cache/key.ts';

/**
 * The words of `[buildout] extends`, in order. The syntax is the one of Python's ConfigParser: indented lines continue a
 * value, `#` and `;` begin comments. Never throws.
 */
export function readExtends(text: string): readonly string[] {
  const words: string[] = [];
  let section: string | undefined;
  let key: string | undefined;
  for (const line of text.replace(/^\uFEFF/, '').split(/\r?\n/)) {
    const content = withoutComment(line);
    if (content === '') continue;
    let value = content;
    if (!/^\s/.test(content)) {
      const header = /^\[([^\]]*)\]/.exec(content);
      if (header !== null) section = header[1]?.trim();
      const option = header === null ? readOption(content) : undefined;
      key = option?.key;
      value = option?.value ?? '';
    }
    if (section !== 'buildout' || key !== 'extends') continue;
    for (const word of value.split(/\s+/)) if (word !== '') words.push(word);
  }
  return words;
}

function withoutComment(line: string): string {
  const start = line.search(/(?<!\S)[;#]/);
  return (start === -1 ? line : line.slice(0, start)).trimEnd();
}

/** `KEY = VALUE`, `KEY: VALUE`, `KEY += VALUE`; the key in lower case. */
function readOption(content: string): { readonly key: string; readonly value: string } | undefined {
  const delimiter = content.search(/[=:]/);
  if (delimiter === -1) return undefined;
  const name = content.slice(0, delimiter).replace(/\+$/, '');
  return { key: name.trimEnd().toLowerCase(), value: content.slice(delimiter + 1) };
}

/** The software URL in the text of a buildout.cfg. Of several, the URL whose md5 is the folder's name: a site may add its profiles. */
export function softwareUrlOf(text: string, folder: string): string | undefined {
  const urls = readExtends(text).filter(isSoftwareUrl);
  return urls.find((url) => keyOfSoftwareUrl(url) === folder) ?? urls[0];
}

/** Whether a word of `extends` is a software URL: a URL, or the path of a file. */
export function isSoftwareUrl(word: string): boolean {
  return /^[a-z][a-z0-9+.-]*:\/\/./i.test(word) || /^[./~].*\/./.test(word) || word.endsWith('.cfg');
}
