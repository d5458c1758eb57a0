import {
  Counter,
  Gauge,
  register,
  type CounterConfiguration,
  type GaugeConfiguration,
} from 'prom-client';

/**
 * The counter of this name, made at its first use: what shares a metric in one process, as several producers or watches do,
 * need not know of one another. The registry refuses a second one.
 */
export function sharedCounter<T extends string>(options: CounterConfiguration<T>): Counter<T> {
  const existing = register.getSingleMetric(options.name);
  return existing instanceof Counter ? existing : new Counter(options);
}

/** The gauge of this name, likewise. */
export function sharedGauge<T extends string>(options: GaugeConfiguration<T>): Gauge<T> {
  const existing = register.getSingleMetric(options.name);
  return existing instanceof Gauge ? existing : new Gauge(options);
}
