import { Counter, Gauge } from 'prom-client';
import type { OpenOrders } from './open-orders';

/** What became of a record. */
export type RecordOutcome = 'started' | 'repeated' | 'invalid-record' | 'request-id-reused';

export interface IngestMetrics {
  recordDone(outcome: RecordOutcome): void;
}

/** Registers the metrics of the ingest process; once per process. */
export function createIngestMetrics(openOrders: OpenOrders): IngestMetrics {
  const records = new Counter({
    name: 'ingest_records_total',
    help: 'Order records finished, by what became of them',
    labelNames: ['outcome'] as const,
  });
  new Gauge({
    name: 'ingest_open_orders',
    help: 'Orders under way, as far as this process knows',
    collect() {
      this.set(openOrders.estimate);
    },
  });
  return {
    recordDone: (outcome) => {
      records.inc({ outcome });
    },
  };
}
