import { readdir } from 'node:fs/promises';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { CatalogState } from '../cache/catalog.ts';
import type { ErrorCode } from '../cache/errors.ts';
import type { LocalCacheCounts } from '../cache/store.ts';
import type { RequestObserver } from '../http/access-log.ts';
import type { Metrics, Readiness } from '../http/health.ts';

/** Where the values come from that are only read when somebody asks. */
export interface MetricSources {
  readonly version: string;
  readonly catalog: () => CatalogState;
  /** Entries that no node can use, by reason. */
  readonly refused: () => Readonly<Record<string, number>>;
  readonly readiness: () => Readiness;
  /** Bytes; undefined if unknown or unlimited. */
  readonly room: () => number | undefined;
  readonly lastScrub: () => { readonly finished: string; readonly findings: number } | undefined;
  /** undefined without a local cache. */
  readonly localCache: LocalCacheCounts | undefined;
  /** The first end of the certificates of each use; milliseconds since 1970. */
  readonly certificateEnds: () => ReadonlyMap<string, number>;
}

/** The first part of a path, and the label of its requests. All others, such as paths that do not exist, are `other`. */
const ROUTES: readonly (readonly [prefix: string, route: string])[] = [
  ['/bcache', 'bcache'],
  ['/bdir', 'bdir'],
  ['/v1', 'catalog'],
  ['/slapos.cfg', 'slapos.cfg'],
  ['/health', 'health'],
  ['/ready', 'ready'],
  ['/metrics', 'metrics'],
  ['/release', 'page'],
  ['/check', 'page'],
  ['/log', 'page'],
  ['/sources', 'page'],
  ['/-', 'page'],
];
const METHODS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'PUT', 'POST', 'DELETE', 'OPTIONS']);
/** Seconds: from a lookup that is answered from memory to a download of an hour. */
const BUCKETS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5, 30, 120, 600, 3600];

/** What requests of one kind add up to since the last look. */
interface Sum {
  readonly labels: Readonly<Record<'route' | 'method' | 'status', string>>;
  count: number;
  bytes: number;
}

/** The metrics of a server; docs/monitoring.md lists them. @param role that a request for them requires */
export function createMetrics(sources: MetricSources, role: Metrics['role']): Metrics {
  const registry = new Registry();
  const registers = [registry];
  const sums = new Map<string, Sum>();
  let inFlight = 0;

  const addSums = (): void => {
    for (const sum of sums.values()) {
      requests.inc(sum.labels, sum.count);
      bytes.inc(sum.labels, sum.bytes);
      sum.count = sum.bytes = 0;
    }
  };
  const requests = new Counter({
    name: 'shacache_http_requests_total',
    help: 'Requests whose answer has ended',
    labelNames: ['route', 'method', 'status'],
    registers,
    collect: addSums,
  });
  const bytes = new Counter({
    name: 'shacache_http_response_bytes_total',
    help: 'Bytes of answers, with their heads',
    labelNames: ['route', 'method', 'status'],
    registers,
  });
  const durations = new Histogram({
    name: 'shacache_http_request_duration_seconds',
    help: 'Time from the head of a request to the last byte of its answer',
    labelNames: ['route'],
    buckets: BUCKETS,
    registers,
  });
  const lookups = new Counter({
    name: 'shacache_lookups_total',
    help: 'Lookups of a key, by result: hit or miss',
    labelNames: ['result'],
    registers,
  });
  const aborted = new Counter({
    name: 'shacache_downloads_aborted_total',
    help: 'Downloads of blobs that the client, or the network, has ended early',
    registers,
  });
  const accepted = new Counter({
    name: 'shacache_uploads_total',
    help: 'Uploads that were accepted, by object: blob or entry',
    labelNames: ['object'],
    registers,
  });
  const refusedUploads = new Counter({
    name: 'shacache_uploads_refused_total',
    help: 'Uploads that were refused, by object and reason, the code of the error',
    labelNames: ['object', 'reason'],
    registers,
  });

  const gauge = (name: string, help: string, read: () => number | undefined): void => {
    new Gauge({
      name: `shacache_${name}`,
      help,
      registers,
      collect() {
        const value = read();
        // Absent rather than wrong.
        if (value === undefined) this.remove();
        else this.set(value);
      },
    });
  };
  const gaugeBy = (
    name: string,
    help: string,
    label: string,
    read: () => Iterable<readonly [string, number]>,
  ): void => {
    new Gauge({
      name: `shacache_${name}`,
      help,
      labelNames: [label],
      registers,
      collect() {
        this.reset();
        for (const [value, number] of read()) this.set({ [label]: value }, number);
      },
    });
  };
  const ofIndex = (read: (state: CatalogState) => number) => (): number | undefined => {
    const state = sources.catalog();
    return state.fault === undefined ? read(state) : undefined;
  };

  gauge('downloads_in_flight', 'Downloads of blobs that are running', () => inFlight);
  gaugeBy('build_info', 'Always 1, with the version of the program', 'version', () => [[sources.version, 1]]);
  gauge('ready', '1 if the server is ready, else 0', () =>
    sources.readiness().reasons.length === 0 ? 1 : 0,
  );
  gauge('index_complete', '1 if the index has the whole store, else 0; the next metrics come from it', () =>
    sources.catalog().isComplete ? 1 : 0,
  );
  gauge(
    'releases',
    'Software releases in the store',
    ofIndex(({ releases }) => releases),
  );
  gauge(
    'sources',
    'Keys of sources in the store',
    ofIndex(({ sources: keys }) => keys),
  );
  gauge(
    'entries',
    'Entries in the store',
    ofIndex(({ entries }) => entries),
  );
  gauge(
    'blobs',
    'Blobs in the store',
    ofIndex(({ blobs }) => blobs),
  );
  gauge(
    'blob_bytes',
    'Bytes of all blobs in the store',
    ofIndex(({ size }) => size),
  );
  gaugeBy(
    'entries_refused',
    'Entries that no node can use, by reason: damaged, untrusted or blob-missing',
    'reason',
    () => (sources.catalog().fault === undefined ? Object.entries(sources.refused()) : []),
  );
  gauge('room_bytes', 'Bytes that fit into the store beside its reserve', () => sources.room());
  gauge(
    'scrub_findings',
    'Findings of the last check of the whole store',
    () => sources.lastScrub()?.findings,
  );
  gauge('scrub_timestamp_seconds', 'End of the last check of the whole store, since 1970', () => {
    const { finished } = sources.lastScrub() ?? {};
    return finished === undefined ? undefined : Date.parse(finished) / 1000;
  });
  gaugeBy(
    'certificate_not_after_timestamp_seconds',
    'First end of the certificates of a use, since 1970: tls, client-ca, own, signature or upstream',
    'use',
    () => Array.from(sources.certificateEnds(), ([use, end]) => [use, end / 1000] as const),
  );
  const { localCache } = sources;
  new Counter({
    name: 'shacache_local_cache_opened_total',
    help: 'Blobs that were opened, by result: hit in the local cache, or miss',
    labelNames: ['result'],
    registers,
    collect() {
      this.reset();
      if (localCache === undefined) return;
      this.inc({ result: 'hit' }, localCache.hits);
      this.inc({ result: 'miss' }, localCache.misses);
    },
  });
  new Counter({
    name: 'shacache_process_cpu_seconds_total',
    help: 'CPU time of the process, user and system',
    registers,
    collect() {
      const { user, system } = process.cpuUsage();
      this.reset();
      this.inc((user + system) / 1e6);
    },
  });
  gauge('process_resident_memory_bytes', 'Memory of the process', () => process.memoryUsage.rss());
  gauge(
    'process_start_time_seconds',
    'Start of the process, since 1970',
    () => performance.timeOrigin / 1000,
  );
  new Gauge({
    name: 'shacache_process_open_fds',
    help: 'Open files and connections of the process',
    registers,
    async collect() {
      this.set((await readdir('/proc/self/fd')).length);
    },
  });

  const observer: RequestObserver = {
    begin(path, method) {
      if (isDownload(path, method)) inFlight++;
    },
    end(path, line, code) {
      const { status, bytes: size, ms } = line;
      const method = METHODS.has(line.method) ? line.method : 'other';
      const route = routeOf(path);
      const sum = sumOf(route, method, status);
      sum.count++;
      sum.bytes += size;
      durations.observe({ route }, ms / 1000);
      if (isBelow(path, '/bdir/') && method === 'GET') countLookup(status);
      else if (isDownload(path, method)) {
        inFlight--;
        if (line.aborted) aborted.inc();
      } else if ((route === 'bcache' || route === 'bdir') && (method === 'PUT' || method === 'POST'))
        countUpload(route === 'bcache' ? 'blob' : 'entry', status, code);
    },
  };

  const sumOf = (route: string, method: string, status: number): Sum => {
    const id = `${route} ${method} ${status}`;
    const known = sums.get(id);
    if (known !== undefined) return known;
    const sum = { labels: { route, method, status: String(status) }, count: 0, bytes: 0 };
    sums.set(id, sum);
    return sum;
  };
  const countLookup = (status: number): void => {
    if (status === 200 || status === 304) lookups.inc({ result: 'hit' });
    else if (status === 404) lookups.inc({ result: 'miss' });
  };
  const countUpload = (object: string, status: number, code: ErrorCode | undefined): void => {
    if (status === 201) accepted.inc({ object });
    else refusedUploads.inc({ object, reason: code ?? 'other' });
  };

  return { observer, contentType: registry.contentType, text: () => registry.metrics(), role };
}

function isDownload(path: string, method: string): boolean {
  return method === 'GET' && isBelow(path, '/bcache/');
}

function isBelow(path: string, folder: string): boolean {
  return path.length > folder.length && path.startsWith(folder);
}

function routeOf(path: string): string {
  if (path === '/') return 'page';
  for (const [prefix, route] of ROUTES)
    if (path.startsWith(prefix) && (path.length === prefix.length || path[prefix.length] === '/'))
      return route;
  return 'other';
}
