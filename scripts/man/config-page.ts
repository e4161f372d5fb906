import { createSections } from '../../src/config/schema.ts';
import { continued, described, example, paragraph, section, subsection, title } from './roff.ts';

/** A comment with the settings below it. */
interface Item {
  readonly comment: string;
  /** Without the marks that make them comments. */
  readonly settings: readonly string[];
  /** Keys of the settings that no other item of the section documents. */
  readonly keys: readonly string[];
}

/**
 * The page shacache.conf(5).
 * @param text of config.example.ini
 * @param seconds since 1970: its date
 */
export function configPage(text: string, version: string, seconds: number): string {
  const [intro = '', ...parts] = text.split(/^(?=\[)/m);
  return [
    title('SHACACHE.CONF', 5, seconds, version),
    section('NAME'),
    'shacache.conf \\- configuration of the offline binary cache for SlapOS',
    section('SYNOPSIS'),
    '/etc/shacache/config.ini',
    section('DESCRIPTION'),
    ...intro
      .replace(/^# ?/gm, '')
      .trim()
      .split('\n\n')
      .map((words) => paragraph(words.replaceAll('\n', ' '))),
    section('SECTIONS'),
    ...parts.flatMap(sectionParts),
    section('SEE ALSO'),
    '.BR cache (1)',
    '',
  ].join('\n');
}

function sectionParts(part: string): readonly string[] {
  const [heading = '', ...lines] = part.split('\n');
  return [subsection(heading), ...itemsOf(heading.slice(1, -1), lines).map(itemPart)];
}

function itemPart({ comment, settings, keys }: Item): string {
  const words = keys.length > 0 ? described(keys, comment) : continued(comment);
  return [words, ...(settings.length === 0 ? [] : [example(settings)])].join('\n');
}

/** Which keys a section has is known to the schema; in the others people choose the names. */
function itemsOf(name: string, lines: readonly string[]): readonly Item[] {
  const sections: Readonly<Record<string, { readonly shape: object } | undefined>> = createSections('/');
  const known = Object.keys(sections[name]?.shape ?? {});
  // An alternative names keys that have an item of their own, unless they stand in alternatives only.
  const mainKeys = known.filter((key) => lines.some((line) => line.startsWith(`#${key} =`)));
  const shown = new Set<string>();
  const items: Item[] = [];
  let [comment, settings]: [string[], string[]] = [[], []];
  const end = (): void => {
    if (comment.length + settings.length > 0) {
      const keys = known.filter((key) => {
        const mark = mainKeys.includes(key) ? '#' : '#: ';
        return !shown.has(key) && settings.some((line) => line.startsWith(`${mark}${key} =`));
      });
      for (const key of keys) shown.add(key);
      items.push({
        comment: comment.join(' '),
        settings: settings.map((line) => line.replace(/^#(: )?/, '')),
        keys,
      });
    }
    [comment, settings] = [[], []];
  };
  for (const line of lines) {
    const isComment = /^# \S/.test(line);
    if (line === '' || (isComment && settings.length > 0)) end();
    if (isComment) comment.push(line.slice(2));
    else if (line !== '') settings.push(line);
  }
  end();
  return items;
}
