import { setTimeout as sleep } from 'node:timers/promises';
import { AggregatorRegistry } from 'prom-client';
import type { joinCluster } from '../platform/cluster';
import type { ReadyReport } from '../platform/health-server';
import type { OrderPublisher } from './buy/buy';
import { json, type HttpResponse } from './http/response';
import { metricsResponse, type Metrics } from './metrics';

/** An orchestrator waits a second or so for its probe. */
const PROBE_MS_MAX = 1_000;

/** Asks one dependency whether it answers. A rejection means no. */
export type Probe = () => boolean | Promise<boolean>;

export type Health = ReturnType<typeof createHealth>;

/**
 * Dependencies without which the gateway can still answer: reads, and `503` with its reason. Out of the load balancer it
 * could answer nothing, and all gateways would leave it at once.
 */
const DISPENSABLE: Readonly<Record<string, string>> = {
  kafka: 'Kafka does not answer: purchases and cancellations get 503',
  postgres: 'PostgreSQL does not answer: lists of orders, and orders that Redis has not, get 503',
};

export function createHealth(
  probes: Readonly<Record<string, Probe>>,
  isClosing: () => boolean,
  warningsNow: () => readonly string[] = () => [],
) {
  const report = async (): Promise<ReadyReport> => {
    const asked = Object.entries(probes).map(async ([name, probe]) => [name, await ask(probe)]);
    const dependencies = Object.fromEntries(await Promise.all(asked)) as Record<string, boolean>;
    const away = Object.keys(dependencies).filter((name) => dependencies[name] === false);
    const ready = !isClosing() && away.every((name) => name in DISPENSABLE);
    const warnings = [...away.flatMap((name) => DISPENSABLE[name] ?? []), ...warningsNow()];
    return { ready, dependencies, ...(warnings.length > 0 && { warnings }) };
  };
  return {
    /** GET /livez: the process runs. It asks no dependency, because a restart would not repair one. */
    live: () => json(200, { live: true }, NO_STORE),
    /** GET /readyz: 503 while the gateway cannot answer buyers, or is closing. */
    ready: async () => readiness(await report()),
    /** The content of GET /readyz. */
    report,
  };
}

const NO_STORE = { 'cache-control': 'no-store' };

function ask(probe: Probe): Promise<boolean> {
  const answer = Promise.resolve()
    .then(probe)
    .catch(() => false);
  return Promise.race([answer, sleep(PROBE_MS_MAX, false, { ref: false })]);
}

function readiness(report: ReadyReport): HttpResponse {
  return report.ready
    ? json(200, report, NO_STORE)
    : json(503, report, { ...NO_STORE, 'retry-after': '1' });
}

/**
 * Health and metrics of all gateway processes behind one port: a probe of the port reaches any one of them and asks about
 * them all.
 */
export function createClusterStatus(
  join: typeof joinCluster,
  { health, metrics }: { readonly health: Health; readonly metrics: Metrics },
) {
  const cluster = join({ metrics: metrics.values, readiness: health.report });
  return {
    health: {
      ...health,
      // Ready when one process is: that one sells, and the others refuse with "try again".
      ready: async () => {
        const own = await health.report();
        if (own.ready) return readiness(own);
        const reports = (await cluster.askAll('readiness')) as readonly ReadyReport[];
        return readiness(reports.find(({ ready }) => ready) ?? own);
      },
    },
    metrics: {
      ...metrics,
      // Counts are summed. The counts of a dead process leave the sum, which Prometheus takes for a restart.
      response: async () => {
        const values = (await cluster.askAll('metrics')) as Awaited<
          ReturnType<Metrics['values']>
        >[];
        return metricsResponse(await AggregatorRegistry.aggregate(values).metrics());
      },
    },
  };
}

/** Asks once at a time, however many probes ask. */
export function onceAtATime(ask: () => Promise<unknown>): Probe {
  let running: Promise<boolean> | undefined;
  return () => {
    running ??= ask()
      .then(() => true)
      .finally(() => {
        running = undefined;
      });
    return running;
  };
}

/** A broker that acknowledged a record this recently, in ms, need not be asked. */
const RECENT_MS = 3_000;

/**
 * Whether Kafka answers. `watched` is the publisher to use: its acknowledgements are the proof. `lookUp` is called only
 * while there are none, once at a time, however many probes ask.
 */
export function createKafkaProbe(
  publisher: OrderPublisher,
  lookUp: () => Promise<unknown>,
): { readonly watched: OrderPublisher; readonly probe: Probe } {
  let acknowledgedAt = -Infinity;
  const asked = onceAtATime(lookUp);

  return {
    watched: {
      append: async (record) => {
        const appended = await publisher.append(record);
        acknowledgedAt = performance.now();
        return appended;
      },
    },
    probe: () => performance.now() - acknowledgedAt < RECENT_MS || asked(),
  };
}
