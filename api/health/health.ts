import { setTimeout as sleep } from 'node:timers/promises';
import type { ReadyReport } from '../../platform/health-server';
import { json, type HttpResponse } from '../http/response';

/** An orchestrator waits a second or so for its probe. */
const PROBE_MS_MAX = 1_000;

/** Asks one dependency whether it answers. A rejection is a no. */
export type Probe = () => boolean | Promise<boolean>;

export interface Health {
  /** GET /livez: the process runs. No dependency is asked, for a restart would not mend it. */
  readonly live: () => HttpResponse;
  /** GET /readyz: 503 while a dependency is away or the process is closing. */
  readonly ready: () => Promise<HttpResponse>;
  /** What GET /readyz answers with. */
  readonly report: () => Promise<ReadyReport>;
}

export function createHealth(
  probes: Readonly<Record<string, Probe>>,
  isClosing: () => boolean,
): Health {
  const report = async (): Promise<ReadyReport> => {
    const asked = Object.entries(probes).map(async ([name, probe]) => [name, await ask(probe)]);
    const dependencies = Object.fromEntries(await Promise.all(asked)) as Record<string, boolean>;
    const ready = !isClosing() && Object.values(dependencies).every(Boolean);
    return { ready, dependencies };
  };
  return {
    live: () => json(200, { live: true }, NO_STORE),
    ready: async () => readiness(await report()),
    report,
  };
}

export function readiness(report: ReadyReport): HttpResponse {
  return report.ready
    ? json(200, report, NO_STORE)
    : json(503, report, { ...NO_STORE, 'retry-after': '1' });
}

const NO_STORE = { 'cache-control': 'no-store' };

function ask(probe: Probe): Promise<boolean> {
  const answer = Promise.resolve()
    .then(probe)
    .catch(() => false);
  return Promise.race([answer, sleep(PROBE_MS_MAX, false, { ref: false })]);
}
