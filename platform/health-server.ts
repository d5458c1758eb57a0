import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { register } from 'prom-client';

export interface Health {
  /** Whether work can be taken; asked on every probe, so it must be cheap. */
  readonly ready: () => ReadyReport | Promise<ReadyReport>;
  /** Text in the Prometheus format to append to the process's own metrics. */
  readonly moreMetrics?: () => Promise<string>;
}

/** Per dependency: true when it answers. `ready` is the verdict. */
export interface ReadyReport {
  readonly ready: boolean;
  readonly dependencies: Readonly<Record<string, boolean>>;
}

/**
 * Serves /livez (200 as long as the process runs: it tests no dependency), /readyz (200 or 503 with a
 * report per dependency) and /metrics for a process that has no other door.
 */
export async function startHealthServer(host: string, port: number, health: Health) {
  const server = createServer((request, response) => {
    void answer(request.url ?? '', health).then(
      ({ status, type, body }) => response.writeHead(status, { 'content-type': type }).end(body),
      (error: unknown) => response.writeHead(500).end(String(error)),
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

async function answer(url: string, health: Health) {
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
