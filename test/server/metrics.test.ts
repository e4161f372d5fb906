import { execFileSync } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { digestOf } from '../../src/cache/digest.ts';
import type { AccessControl } from '../../src/http/access-control.ts';
import { createMetrics, type MetricSources } from '../../src/server/metrics.ts';
import { startHttpServer, type HttpServer } from '../fixtures/http-server.ts';
import { lacks } from '../http/outside-programs.ts';
import { ask, headerOf } from '../http/raw-connection.ts';
import { upload } from '../http/upload-client.ts';

const SOURCES: MetricSources = {
  version: '1.2.3',
  catalog: () => ({
    ...{ isComplete: true, fault: undefined, version: 'x' },
    ...{ releases: 3, sources: 2, entries: 7, blobs: 5, size: 1000 },
  }),
  refused: () => ({ damaged: 1, untrusted: 0, 'blob-missing': 0 }),
  readiness: () => ({ reasons: [], warnings: [] }),
  room: () => 2 ** 30,
  lastScrub: () => ({ finished: '2026-11-27T00:00:00.000Z', findings: 4 }),
  localCache: { hits: 5, misses: 2 },
  certificateEnds: () => new Map([['tls', Date.UTC(2030, 0, 1)]]),
};

async function start(
  role: 'none' | 'read' | 'admin' = 'read',
  access: AccessControl = { anonymous: 'upload' },
  sources: Partial<MetricSources> = {},
): Promise<HttpServer> {
  const metrics = createMetrics({ ...SOURCES, ...sources }, role);
  const server = await startHttpServer({ parts: (usual) => ({ ...usual, access, metrics }) });
  onTestFinished(async () => {
    await server.stop();
  });
  return server;
}

const textOf = async (server: HttpServer): Promise<string> => (await ask(server, '/metrics')).body.toString();

/** Names, with type and help, as the text has them. */
function declared(text: string): ReadonlyMap<string, { readonly type: string; readonly help: string }> {
  const types = new Map(
    [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = '', type = '']) => [name, type]),
  );
  return new Map(
    [...text.matchAll(/^# HELP (\S+) (.*)$/gm)].map(([, name = '', help = '']) => [
      name,
      { help, type: types.get(name) ?? '' },
    ]),
  );
}

describe('/metrics', () => {
  it('counts requests, lookups, downloads and uploads', async () => {
    const server = await start();
    const digest = await server.addBlob('content');
    await ask(server, `/bcache/${digest}`);
    await ask(server, `/shacache/${digest}`);
    await ask(server, '/bdir/pypi:a=1');
    await upload(server, 'new');
    await upload(server, 'wrong', { method: 'PUT', target: `/bcache/${digestOf('other')}` });
    await ask(server, '/nothing/at/all');
    await expect.poll(() => textOf(server)).toContain('route="other"');
    const text = await textOf(server);
    for (const line of [
      'shacache_http_requests_total{route="bcache",method="GET",status="200"} 2',
      'shacache_http_requests_total{route="bdir",method="GET",status="404"} 1',
      'shacache_http_requests_total{route="other",method="GET",status="404"} 1',
      'shacache_http_request_duration_seconds_count{route="bcache"} 4',
      'shacache_lookups_total{result="miss"} 1',
      'shacache_uploads_total{object="blob"} 1',
      'shacache_uploads_refused_total{object="blob",reason="digest-mismatch"} 1',
      'shacache_downloads_in_flight 0',
      'shacache_blobs 5',
      'shacache_blob_bytes 1000',
      'shacache_entries_refused{reason="damaged"} 1',
      'shacache_scrub_findings 4',
      'shacache_room_bytes 1073741824',
      'shacache_local_cache_opened_total{result="hit"} 5',
      'shacache_certificate_not_after_timestamp_seconds{use="tls"} 1893456000',
    ])
      expect(text.split('\n')).toContain(line);
    expect(text).toMatch(
      /^shacache_http_response_bytes_total\{route="bcache",method="GET",status="200"\} [1-9]\d+$/m,
    );
    expect(headerOf(await ask(server, '/metrics'), 'Cache-Control')).toBe('no-store');
  });

  it('leaves out what is not known', async () => {
    const server = await start(
      'read',
      { anonymous: 'read' },
      {
        room: () => undefined,
        lastScrub: () => undefined,
        localCache: undefined,
        catalog: () => ({ ...SOURCES.catalog(), isComplete: false, fault: 'too many' }),
      },
    );
    const text = await textOf(server);
    expect(text).not.toMatch(/^shacache_(room|scrub|blobs|entries|local)/m);
    expect(text).toMatch(/^shacache_index_complete 0$/m);
  });

  it.each([
    ['none', undefined, 200],
    ['read', undefined, 403],
    ['read', 'read', 200],
    ['admin', 'upload', 403],
  ] as const)('with [access] metrics = %s, and anonymous = %s: %i', async (role, anonymous, status) => {
    expect((await ask(await start(role, { anonymous }), '/metrics')).status).toBe(status);
  });

  it.skipIf(lacks('promtool'))('passes promtool check metrics', async () => {
    const server = await start();
    await ask(server, '/bdir/pypi:a=1');
    execFileSync('promtool', ['check', 'metrics'], { input: await textOf(server) });
  });
});

describe('docs and contrib', () => {
  it('docs/monitoring.md lists every metric', async () => {
    const metrics = declared(await textOf(await start()));
    expect(metrics.size).toBeGreaterThan(20);
    const row = /^\| `(shacache_\w+)` \| (\w+) \| (\w+) \| (.*) \|$/gm;
    const listed = [...(await readFile('docs/monitoring.md', 'utf8')).matchAll(row)];
    for (const [, name = '', , unit] of listed)
      expect(unit, name).toBe(/_(seconds|bytes)(?:_total)?$/.exec(name)?.[1] ?? 'count');
    expect(new Map(listed.map(([, name, type, , help]) => [name, { type, help }]))).toEqual(metrics);
  });

  it('the dashboard and the rules use known metrics only', async () => {
    const metrics = declared(await textOf(await start()));
    for (const file of ['contrib/grafana/shacache.json', 'contrib/prometheus/shacache.rules.yml']) {
      const names = [...(await readFile(file, 'utf8')).matchAll(/\bshacache_\w+/g)].map(([name]) => name);
      expect(names.length).toBeGreaterThan(5);
      for (const name of names)
        expect([...metrics.keys()]).toContain(name.replace(/_(?:bucket|count|sum)$/, ''));
    }
    JSON.parse(await readFile('contrib/grafana/shacache.json', 'utf8'));
  });

  it.skipIf(lacks('promtool'))('the rules pass promtool check rules', () => {
    execFileSync('promtool', ['check', 'rules', 'contrib/prometheus/shacache.rules.yml']);
  });
});
