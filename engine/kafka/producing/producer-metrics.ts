import { Counter, Gauge, register } from 'prom-client';

/** How many records of each topic wait: asked when the metrics are read, for setting a gauge at each record costs more. */
const pendingByTopic = new Map<string, () => number>();

/** What one topic's producer counts. Several producers of a process share the metrics and differ by label. */
export function createProducerMetrics(topic: string, pending: () => number) {
  pendingByTopic.set(topic, pending);
  definePendingGauge();
  return {
    acknowledged: counter(
      'orderlog_appended_records_total',
      'Records acknowledged by Kafka',
      topic,
    ),
    batches: counter('orderlog_batches_total', 'Batches acknowledged by Kafka', topic),
    retries: counter('orderlog_retries_total', 'Batches that had to be sent again', topic),
    unverified: counter(
      'orderlog_unverified_answers_total',
      'Sends that were answered as done without proof that anything was written',
      topic,
    ),
    replacements: counter(
      'orderlog_producer_replacements_total',
      'Kafka clients thrown away because they no longer delivered',
      topic,
    ),
  };
}

export type ProducerMetrics = ReturnType<typeof createProducerMetrics>;

function counter(name: string, help: string, topic: string) {
  const existing = register.getSingleMetric(name);
  const metric =
    existing instanceof Counter ? existing : new Counter({ name, help, labelNames: ['topic'] });
  return metric.labels({ topic });
}

function definePendingGauge(): void {
  const name = 'orderlog_pending_records';
  if (register.getSingleMetric(name)) return;
  new Gauge({
    name,
    help: 'Records that wait for an acknowledgement',
    labelNames: ['topic'],
    collect() {
      for (const [topic, pending] of pendingByTopic) this.set({ topic }, pending());
    },
  });
}
