/** What a load did. */
export interface LoadResult {
  /** Bytes that came, those of answers that didn't end included. */
  readonly bytes: number;
  /** Requests that were answered in full. */
  readonly requests: number;
  /** How long it took, without the start of the client. */
  readonly seconds: number;
  readonly clientCpuSeconds: number;
  /** Milliseconds of the requests, where the client tells. */
  readonly latency?: { readonly p50: number; readonly p99: number };
}
