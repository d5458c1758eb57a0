import { Gauge, register } from 'prom-client';

/** How far the consumer is behind, per topic and partition; made on first use, one per process. */
export function lagGauge(): Gauge {
  const name = 'orderlog_consumer_lag_records';
  const existing = register.getSingleMetric(name);
  if (existing instanceof Gauge) return existing;
  return new Gauge({
    name,
    help: 'Records behind the end of the log, as of the last finished chunk',
    labelNames: ['topic', 'partition'],
  });
}
