import { Counter, Gauge, Histogram, Registry, register as processRegister } from 'prom-client';
import { HINT_OUTCOMES } from '../engine/payments/payment-hints';
import type { HttpResponse } from './http/response';

export type Metrics = ReturnType<typeof createMetrics>;

/** A registry of its own, so that two gateways in one process, as in tests, do not count together. */
export function createMetrics(buysInFlight: () => number) {
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
  // Counts since the metrics were last read: looking a label up in the library builds a string, too slow for each request.
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
  const errors = new Counter({
    name: 'flash_sale_faults_total',
    help: 'Failures of dependencies, by what they kept the gateway from doing',
    labelNames: ['what'],
    registers,
  });
  const turnedAway = new Counter({
    name: 'flash_sale_turned_away_total',
    help: 'Requests whose credentials or tokens were refused',
    labelNames: ['what'],
    registers,
  });
  const pressure = new Counter({
    name: 'flash_sale_pressure_total',
    help: 'What the gateway did to connections, bodies and streams to protect the others',
    labelNames: ['what'],
    registers,
  });
  const hints = new Counter({
    name: 'flash_sale_payment_webhooks_total',
    help: "Webhooks of the payment provider, by what was done; unknown-order: another installation's, or an order that is forgotten",
    labelNames: ['outcome'],
    registers,
  });
  // An alert asks for an increase, which the first sample of a new series is not.
  for (const outcome of ['refused', ...HINT_OUTCOMES]) hints.inc({ outcome }, 0);
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
    /** Counts a POST /buy by its response. */
    countBuy: ({ problem }: HttpResponse, secondsTaken: number): void => {
      const answer = problem ?? 'accepted';
      counts.set(answer, (counts.get(answer) ?? 0) + 1);
      waited[problem === undefined ? 'yes' : 'no'].observe(secondsTaken);
    },
    countBatch: (size: number): void => {
      batches.observe(size);
    },
    countError: (what: string): void => {
      errors.inc({ what });
    },
    countHint: (outcome: string): void => {
      hints.inc({ outcome });
    },
    countTurnedAway: (what: string): void => {
      turnedAway.inc({ what });
    },
    countPressure: (what: string): void => {
      pressure.inc({ what });
    },
    /** GET /metrics: the metrics of the gateway and of the process, in the Prometheus format. */
    response: async (): Promise<HttpResponse> =>
      metricsResponse(`${await processRegister.metrics()}\n${await register.metrics()}`),
    /** The same as data. */
    values: async () => [
      ...(await processRegister.getMetricsAsJSON()),
      ...(await register.getMetricsAsJSON()),
    ],
  };
}

export function metricsResponse(text: string): HttpResponse {
  const headers = { 'content-type': Registry.PROMETHEUS_CONTENT_TYPE, 'cache-control': 'no-store' };
  return { status: 200, headers, body: text };
}
