import { keyOfSoftwareUrl } from '../cache/key.ts';

/**
 * The words of `[buildout] extends`, in order: what a buildout.cfg is made from. The dialect is that of Python's
 * ConfigParser: indented lines continue a value, `#` and `;` begin comments. Never throws.
 */
export function readExtends(text: string): readonly string[] {
  const words: string[] = [];
  let section: string | undefined;
  let key: string | undefined;
  for (const line of text.replace(/^\uFEFF/, '').split(/\r?\n/)) {
    const content = line.replace(/(^|\s)[;#].*$/, '').trimEnd();
    if (content === '') continue;
    let value = content;
    if (!/^\s/.test(content)) {
      const header = /^\[([^\]]*)\]/.exec(content);
      const option = /^([^=:]*?)\s*\+?[=:]/.exec(content);
      if (header !== null) section = header[1]?.trim();
      key = header === null ? option?.[1]?.toLowerCase() : undefined;
      value = option === null ? '' : content.slice(option[0].length);
    }
    if (section === 'buildout' && key === 'extends')
      words.push(...value.split(/\s+/).filter((word) => word !== ''));
  }
  return words;
}

/** The software URL in the text of a buildout.cfg: of several the one that the folder is named by; it may stand beside profiles of the site. */
export function softwareUrlOf(text: string, folder: string): string | undefined {
  const urls = readExtends(text).filter(isSoftwareUrl);
  return urls.find((url) => keyOfSoftwareUrl(url) === folder) ?? urls[0];
}

/** Whether a word of `extends` is a software URL: a URL, or the path of a file. */
export function isSoftwareUrl(word: string): boolean {
  return /^[a-z][a-z0-9+.-]*:\/\/./i.test(word) || /^[./~].*\/./.test(word) || word.endsWith('.cfg');
}
