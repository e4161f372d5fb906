/** Turns compressed bytes, which come in pieces of any size, into what they stand for. */
export interface Decompressor {
  /**
   * Resolves when it wants more; the caller may reuse `bytes` after that. To be called one at a time.
   * @throws CacheError `invalid-archive`, `unsupported-archive`
   */
  write(bytes: Uint8Array): Promise<void>;
  /** Resolves when the sink has got everything. @throws CacheError when the compressed data isn't whole and sound */
  end(): Promise<void>;
  /** Releases everything and rejects what is pending. Safe to call at any time, repeatedly. */
  abort(): void;
}

/** Takes decompressed bytes, and doesn't keep them after it returned. It doesn't throw. */
export type Sink = (bytes: Uint8Array) => void;
