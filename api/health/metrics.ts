import {
  Counter,
  Gauge,
  Histogram,
  Registry,
  register as processRegister,
  type MetricObjectWithValues,
  type MetricValue,
} from 'prom-client';
import type { HttpResponse } from '../http/response';

export interface Metrics {
  readonly buyAnswered: (answer: HttpResponse, seconds: number) => void;
  readonly admissionBatch: (size: number) => void;
  readonly fault: (what: string) => void;
  /** GET /metrics: the gateway's and the process's, in the Prometheus format. */
  readonly answer: () => Promise<HttpResponse>;
  /** The same as data. */
  readonly figures: () => Promise<readonly MetricObjectWithValues<MetricValue<string>>[]>;
}

/**
 * The gateway's own registry, so that two gateways in one process do not count together. `buysInFlight` is asked
 * whenever the metrics are read.
 */
export function createMetrics(buysInFlight: () => number): Metrics {
  const register = new Registry();
  const registers = [register];

  new Counter({
    name: 'flash_sale_buys_total',
    help: 'How POST /buy was answered: accepted, or the type of the problem',
    labelNames: ['answer'],
    registers,
    collect() {
      for (const [answer, count] of counts) this.inc({ answer }, count);
      counts.clear();
    },
  });
  // Since the metrics were last read: the library puts a text together to look a label up, too much for each answer.
  const counts = new Map<string, number>();
  const seconds = new Histogram({
    name: 'flash_sale_buy_seconds',
    help: 'How long buyers waited for the answer to POST /buy',
    labelNames: ['accepted'],
    buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
    registers,
  });
  const waited = { yes: seconds.labels('yes'), no: seconds.labels('no') };
  const batches = new Histogram({
    name: 'flash_sale_admission_batch_size',
    help: 'Requests that shared one claim-and-hold round trip',
    buckets: [1, 2, 4, 8, 16, 32, 64, 128, 256],
    registers,
  });
  const faults = new Counter({
    name: 'flash_sale_faults_total',
    help: 'Failures of dependencies, by what they kept the gateway from doing',
    labelNames: ['what'],
    registers,
  });
  new Gauge({
    name: 'flash_sale_buys_in_flight',
    help: 'Purchases that were read and are not answered',
    registers,
    collect() {
      this.set(buysInFlight());
    },
  });
  new Gauge({
    name: 'flash_sale_api_processes',
    help: 'Gateway processes that share the port and run',
    registers,
  }).set(1);

  return {
    buyAnswered: ({ problem }, secondsTaken) => {
      const answer = problem ?? 'accepted';
      counts.set(answer, (counts.get(answer) ?? 0) + 1);
      waited[problem === undefined ? 'yes' : 'no'].observe(secondsTaken);
    },
    admissionBatch: (size) => {
      batches.observe(size);
    },
    fault: (what) => {
      faults.inc({ what });
    },
    answer: async () =>
      metricsAnswer(`${await processRegister.metrics()}\n${await register.metrics()}`),
    figures: async () => [
      ...(await processRegister.getMetricsAsJSON()),
      ...(await register.getMetricsAsJSON()),
    ],
  };
}

export function metricsAnswer(text: string): HttpResponse {
  const headers = { 'content-type': Registry.PROMETHEUS_CONTENT_TYPE, 'cache-control': 'no-store' };
  return { status: 200, headers, body: text };
}
