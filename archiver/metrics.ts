import { Counter, Gauge } from 'prom-client';

export type ArchiveMetrics = ReturnType<typeof createMetrics>;

/** To be called once per process. */
export function createMetrics(now: () => number = Date.now) {
  /** By topic and partition: when the oldest record was appended that is not archived; undefined: all are. */
  const oldest = new Map<string, Map<number, number | undefined>>();

  new Gauge({
    name: 'flash_sale_archive_lag_seconds',
    help: 'Age of the oldest record of a topic that this process is to archive, as of the last fetch',
    labelNames: ['topic'] as const,
    collect() {
      this.reset();
      for (const [topic, partitions] of oldest) {
        const ages = [...partitions.values()].map((at) => (at === undefined ? 0 : now() - at));
        this.set({ topic }, Math.max(0, ...ages) / 1_000);
      }
    },
  });
  /** As of when all changes of stock are archived. */
  let stockArchivedAt = now();
  new Gauge({
    name: 'flash_sale_archive_stock_lag_seconds',
    help: 'Time since this process last found every change of stock in the archive',
    collect() {
      this.set((now() - stockArchivedAt) / 1_000);
    },
  });
  const metrics = {
    records: new Counter({
      name: 'flash_sale_archive_records_total',
      help: 'Records finished: archived, set aside, or repeated, which were archived before',
      labelNames: ['topic', 'outcome'] as const,
    }),
    rows: new Counter({
      name: 'flash_sale_archive_rows_total',
      help: 'Rows inserted or changed',
      labelNames: ['table'] as const,
    }),
    faults: new Counter({
      name: 'flash_sale_archive_faults_total',
      help: 'PostgreSQL failed, another process was faster, a log has gone back, or changes of stock were not archived',
      labelNames: ['kind'] as const,
    }),
    left: new Counter({
      name: 'flash_sale_archive_left_orders_total',
      help: 'Archived orders that have left the ledger in Redis',
    }),
    lost: new Counter({
      name: 'flash_sale_archive_lost_records_total',
      help: 'Records that were gone from the log before they were archived',
      labelNames: ['topic'] as const,
    }),
  };
  // An increase from no value at all is none to Prometheus.
  for (const kind of FAULTS) metrics.faults.inc({ kind }, 0);
  for (const outcome of ['archived', 'set-aside']) {
    metrics.records.inc({ topic: ADJUSTMENTS, outcome }, 0);
  }

  return {
    ...metrics,
    /** Says which partitions this process has. */
    assigned: (partitions: Readonly<Record<string, readonly number[]>>): void => {
      for (const [topic, numbers] of Object.entries(partitions)) {
        const before = oldest.get(topic);
        oldest.set(topic, new Map(numbers.map((number) => [number, before?.get(number)])));
        for (const outcome of OUTCOMES) metrics.records.inc({ topic, outcome }, 0);
        metrics.lost.inc({ topic }, 0);
      }
      for (const topic of oldest.keys()) if (!(topic in partitions)) oldest.delete(topic);
    },
    /** Says when the next record to archive was appended, in milliseconds since the epoch; undefined: there is none. */
    waits: (topic: string, partition: number, appendedAt: number | undefined): void => {
      oldest.get(topic)?.set(partition, appendedAt);
    },
    /** Counts changes of stock as the records of one topic. */
    stockChanges: (archived: number, setAside: number): void => {
      metrics.records.inc({ topic: ADJUSTMENTS, outcome: 'archived' }, archived);
      metrics.records.inc({ topic: ADJUSTMENTS, outcome: 'set-aside' }, setAside);
    },
    /** Says that every change of stock of before `at`, in milliseconds since the epoch, is archived. */
    stockArchived: (at: number): void => {
      stockArchivedAt = at;
    },
  };
}

const FAULTS = ['database', 'superseded', 'log-gone-back', 'stock'];
/** All streams of changes of stock, beside the topics. */
const ADJUSTMENTS = 'adjustments';
const OUTCOMES = ['archived', 'repeated', 'set-aside'];
