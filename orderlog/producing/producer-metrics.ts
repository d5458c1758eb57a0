import { Counter, Gauge, register } from 'prom-client';

/** What one topic's producer counts. Several producers of a process share the metrics and differ by label. */
export function createProducerMetrics(topic: string) {
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
    pending: gauge('orderlog_pending_records', 'Records that wait for an acknowledgement', topic),
  };
}

export type ProducerMetrics = ReturnType<typeof createProducerMetrics>;

function counter(name: string, help: string, topic: string) {
  const existing = register.getSingleMetric(name);
  const metric =
    existing instanceof Counter ? existing : new Counter({ name, help, labelNames: ['topic'] });
  return metric.labels({ topic });
}

function gauge(name: string, help: string, topic: string) {
  const existing = register.getSingleMetric(name);
  const metric =
    existing instanceof Gauge ? existing : new Gauge({ name, help, labelNames: ['topic'] });
  return metric.labels({ topic });
}
