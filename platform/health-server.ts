import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { register } from 'prom-client';
import { within } from './until';

export interface Health {
  /** Whether the process can take work. Called on every probe, so it must be cheap. */
  readonly ready: () => ReadyReport | Promise<ReadyReport>;
  /** More metrics in the Prometheus format, appended to those of the process. */
  readonly moreMetrics?: () => Promise<string>;
}

/**
 * `ready` is the verdict; `dependencies` says which of them reply, `waiting_for` why the process has not begun to work yet,
 * `warnings` what is wrong besides.
 */
export interface ReadyReport {
  readonly ready: boolean;
  readonly dependencies: Readonly<Record<string, boolean>>;
  readonly waiting_for?: Readonly<Record<string, string>>;
  readonly warnings?: readonly string[];
}

/** Below the timeout of a probe, which is a second or two. */
const ANSWER_MS_MAX = 1_000;

/** Whether a call to a dependency succeeds before the probe that asks would give up. */
export function answers(call: Promise<unknown>): Promise<boolean> {
  return within(call, ANSWER_MS_MAX, 'a readiness probe').then(
    () => true,
    () => false,
  );
}

/**
 * The HTTP server of a process that serves nothing else: /livez (200 while the process runs, whatever its
 * dependencies), /readyz (200 or 503 with a report per dependency) and /metrics.
 */
export async function startHealthServer(host: string, port: number, health: Health) {
  const server = createServer((request, response) => {
    void respond(request.url ?? '', health).then(
      ({ status, type, body }) =>
        response.writeHead(status, { ...SECURITY_HEADERS, 'content-type': type }).end(body),
      (error: unknown) =>
        response
          .writeHead(500, { ...SECURITY_HEADERS, 'content-type': 'text/plain' })
          .end(String(error)),
    );
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(port, host, resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise<void>((resolve) => {
        server.close(() => {
          resolve();
        });
        server.closeAllConnections();
      }),
  };
}

/** A browser shows a response as what it says it is, whatever it quotes, and no page frames it. */
export const SECURITY_HEADERS = {
  'x-content-type-options': 'nosniff',
  'content-security-policy':
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
};

async function respond(url: string, health: Health) {
  const json = (status: number, value: unknown) => ({
    status,
    type: 'application/json',
    body: JSON.stringify(value),
  });
  switch (url) {
    case '/livez':
      return json(200, { live: true });
    case '/readyz': {
      const report = await health.ready();
      return json(report.ready ? 200 : 503, report);
    }
    case '/metrics': {
      const own = await register.metrics();
      return {
        status: 200,
        type: register.contentType,
        body: own + ((await health.moreMetrics?.()) ?? ''),
      };
    }
    default:
      return json(404, { error: 'not found' });
  }
}
