import type { Hono } from 'hono';
import { requireRole, type AccessControl } from './access-control.ts';
import type { RequestObserver } from './access-log.ts';
import type { HttpEnv } from './http-env.ts';
import { byMethod, type Handler } from './methods.ts';

/** Why a server is not ready, or may not be ready soon. */
export interface ReadyFault {
  readonly code: 'starting' | 'storage' | 'not-writable' | 'no-room' | 'certificate' | 'upstream';
  /** For the operator; without paths. */
  readonly reason: string;
}

/** Whether clients should be sent to this server, as it was found a moment ago. */
export interface Readiness {
  /** None: it is ready. */
  readonly reasons: readonly ReadyFault[];
  readonly warnings: readonly ReadyFault[];
}

/** Metrics in the text format of Prometheus. */
export interface Metrics {
  readonly observer: RequestObserver;
  readonly contentType: string;
  text(): Promise<string>;
  /** What a request for them requires. */
  readonly role: 'none' | 'read' | 'admin';
}

export interface HealthParts {
  /** Version of this program. */
  readonly version: string;
  /** Commit that it was built from, if it is known. */
  readonly commit?: string | undefined;
  readonly access: AccessControl;
  /** When the whole store was checked last, and how much was wrong. */
  readonly lastScrub?: () => { readonly finished: string; readonly findings: number } | undefined;
  /** Expiry and fault of the server's certificate. */
  readonly tls?: () => { readonly expires: string; readonly fault?: string } | undefined;
  /** Never waits: a hung disk is a reason. */
  readonly readiness?: () => Readiness;
  readonly metrics?: Metrics;
}

const NOT_KEPT = { 'Cache-Control': 'no-store' };

/** `/health`, `/ready` and `/metrics`; see docs/monitoring.md. The first two need no rights and never wait for the disk. */
export function addHealthRoutes(
  app: Hono<HttpEnv>,
  { version, commit, access, lastScrub, tls, readiness, metrics }: HealthParts,
): void {
  const { node } = process.versions;
  const health: Handler = (c) =>
    c.json({ status: 'ok', version, commit, node, scrub: lastScrub?.(), tls: tls?.() }, 200, NOT_KEPT);
  app.all('/health', byMethod({ GET: health }));

  if (readiness !== undefined) {
    const ready: Handler = (c) => {
      const { reasons, warnings } = readiness();
      const isReady = reasons.length === 0;
      return c.json({ ready: isReady, reasons, warnings }, isReady ? 200 : 503, NOT_KEPT);
    };
    app.all('/ready', byMethod({ GET: ready }));
  }

  if (metrics !== undefined) {
    const show: Handler = async (c) =>
      c.body(await metrics.text(), 200, { ...NOT_KEPT, 'Content-Type': metrics.contentType });
    const { role } = metrics;
    app.all('/metrics', byMethod({ GET: role === 'none' ? show : requireRole(access, role, show) }));
  }
}
