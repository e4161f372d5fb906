import type { Tab } from './document.tsx';

/** Facts of a request that all pages show. */
export interface View {
  /** The way to the root: see `rootFrom`. */
  readonly root: string;
  readonly tabs: readonly Tab[];
  /** Version of this program. */
  readonly version: string;
  /** URL of this cache for nodes, `http://HOST:PORT`. */
  readonly url: string;
  readonly query: URLSearchParams;
}
