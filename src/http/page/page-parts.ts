import type { Digest } from '../../cache/digest.ts';
import type { Key } from '../../cache/key.ts';
import type { Platform } from '../../cache/platform.ts';
import type { TrustedCertificates } from '../../cache/signature.ts';

/** Facts that only the page shows. */
export interface PageParts {
  /** Whose entries nodes install. */
  readonly trusted: TrustedCertificates;
  /** Whether clients without users may read the log (`[server] public-log`). */
  readonly isLogPublic: boolean;
  /** The URL of this cache for nodes. @param base URL by which the client reached it, `http://HOST:PORT` */
  readonly urlForNodes: (base: string) => string;
  /** Bytes that the store can still take, as last seen; Infinity if it has no limit, undefined if unknown. */
  readonly roomLeft: () => number | undefined;
  /**
   * Whether a node can install a release.
   * @param text a software URL, a key, or a name such as `rapid-cdn@1.0.344`
   * @throws CacheError `usage`: the text is ambiguous
   */
  readonly check: (text: string, machine: Platform) => Promise<InstallCheck>;
}

/** Prediction of an installation, as `cache check` makes it. */
export interface InstallCheck {
  /** The URL or key that the text means. */
  readonly url: string;
  readonly key: Key;
  /** Why a node can't install it; undefined if it can. */
  readonly problem: string | undefined;
  /** The entry that the node takes. */
  readonly chosen: { readonly sha512: Digest; readonly size: number | undefined } | undefined;
  /** Of all entries, trusted or not. */
  readonly platforms: readonly Platform[];
  /** Known URLs that are most similar, if nothing is known for this one. */
  readonly suggestions: readonly string[];
  readonly notes: readonly string[];
}
