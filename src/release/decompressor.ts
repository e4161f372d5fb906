/** Decompresses bytes that come in pieces of any size. */
export interface Decompressor {
  /**
   * Resolves when it wants more; the caller may reuse `bytes` after that. One call at a time.
   * @throws CacheError `invalid-archive`, `unsupported-archive`
   */
  write(bytes: Uint8Array): Promise<void>;
  /** Resolves when the sink has all data. @throws CacheError when the compressed data is incomplete or damaged */
  end(): Promise<void>;
  /** Releases everything and rejects pending calls. Safe at any time, also repeatedly. */
  abort(): void;
}

/** Takes decompressed bytes, which are only valid until it returns. It must not throw. */
export type Sink = (bytes: Uint8Array) => void;
