import { readFileSync } from 'node:fs';

/** The origin of this program. */
export interface BuildInfo {
  readonly version: string;
  /** The commit that it was built from, `-dirty` if files differed; undefined if it was built outside a clone. */
  readonly commit?: string;
}

/** scripts/build-info.ts puts the value into what it builds. */
declare const SHACACHE_BUILD: BuildInfo | undefined;

/** Unbuilt, as in tests, the version is that of package.json. */
export function buildInfo(): BuildInfo {
  if (typeof SHACACHE_BUILD !== 'undefined') return SHACACHE_BUILD;
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  return { version };
}
