import { createHash } from 'node:crypto';
import { ICON } from './icon.ts';
import { SCRIPT } from './script.ts';
import { STYLE } from './style.ts';

interface Asset {
  readonly text: string;
  readonly type: string;
}

/** Paths of the page's own files below the root. They change with the content, so that browsers may keep them. */
export const STYLE_PATH = pathOf('style', STYLE, 'css');
export const SCRIPT_PATH = pathOf('script', SCRIPT, 'js');
export const ICON_PATH = pathOf('icon', ICON, 'svg');

const ASSETS: ReadonlyMap<string, Asset> = new Map([
  [STYLE_PATH, { text: STYLE, type: 'text/css; charset=UTF-8' }],
  [SCRIPT_PATH, { text: SCRIPT, type: 'text/javascript; charset=UTF-8' }],
  [ICON_PATH, { text: ICON, type: 'image/svg+xml' }],
]);

/** @param path below the root; undefined if no file has it, such as one of an earlier version */
export function answerAsset(path: string): Response | undefined {
  const asset = ASSETS.get(path);
  if (asset === undefined) return undefined;
  return new Response(asset.text, {
    headers: {
      'Content-Type': asset.type,
      'Cache-Control': 'public, max-age=31536000, immutable',
      'X-Content-Type-Options': 'nosniff',
      // An icon that is opened alone is a document.
      'Content-Security-Policy': "default-src 'none'; frame-ancestors 'none'",
    },
  });
}

function pathOf(name: string, text: string, type: string): string {
  return `-/${name}.${createHash('sha256').update(text).digest('hex').slice(0, 12)}.${type}`;
}
