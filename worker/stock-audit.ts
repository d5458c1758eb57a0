import { setTimeout as sleep } from 'node:timers/promises';
import { heartbeat } from '@temporalio/activity';
import type { Client } from '@temporalio/client';
import type { Kafka } from 'kafkajs';
import { Gauge } from 'prom-client';
import { createProducer } from '../engine/kafka/kafka-client';
import type { OutcomePublisher } from '../engine/kafka/outcome-publisher';
import { findRecords, isLogRead, readCancellations } from '../engine/kafka/read-log';
import { createSafeProducer } from '../engine/kafka/safe-producer';
import { partitionCount } from '../engine/kafka/topics';
import type { Order } from '../engine/orders/order';
import { encodeOrder } from '../engine/orders/order-record';
import type { CheckoutProvider, PaymentProvider } from '../engine/payments/payment-provider';
import { archiveLookOf } from '../engine/reconciliation/audit-archive';
import { createChargeLookup, type ReconciliationDeps } from '../engine/reconciliation/audit-item';
import { createAuditProgressStore } from '../engine/reconciliation/audit-progress';
import {
  auditStock,
  ensureAuditSchedule,
  type AuditSummary,
} from '../engine/reconciliation/audit-stock';
import { DIFFERENCE_KINDS } from '../engine/reconciliation/compare-order';
import { createOrderRuns } from '../engine/reconciliation/order-runs';
import { registerLedgers } from '../engine/reconciliation/register-ledgers';
import { createLedgerMaintenance } from '../engine/stock/ledger-maintenance';
import type { LedgerOpening } from '../engine/stock/ledger-opener';
import { findOpenItems } from '../engine/stock/open-items';
import type { LedgerRegistry } from '../engine/stock/ledger-registry';
import type { ArchiveDatabase } from '../engine/archive/database';
import type { LedgerOfRecord } from '../engine/archive/ledger-of-record';
import type { WorkerConfig } from '../platform/config';
import type { Logger } from '../platform/logger';
import type { RedisConnection } from '../platform/redis';

const CLOSE_MS_MAX = 5_000;
/** Set-up looks for ledgers that Temporal has lost when it is run; a worker does so this often. It looks at all keys. */
const FIND_LOST_EVERY_MS = 3_600_000;

/** The audit of all items, on the connections of this worker. Its findings go into the log and the metrics. */
export function createStockAudit(clients: {
  readonly config: WorkerConfig;
  readonly redis: RedisConnection;
  readonly client: Client;
  readonly kafka: Kafka;
  readonly ledger: LedgerOfRecord;
  readonly opening: LedgerOpening;
  readonly registry: LedgerRegistry;
  readonly provider: PaymentProvider & Pick<CheckoutProvider, 'cancel'>;
  readonly outcomes: OutcomePublisher;
  readonly archive: ReconciliationDeps['archive'];
  /** Absent: there is none. */
  readonly database: ArchiveDatabase | undefined;
  readonly logger: Logger;
}): () => Promise<AuditSummary> {
  const { config, redis, client, kafka, ledger, opening, registry, provider, outcomes, logger } =
    clients;
  const { archive, database } = clients;
  const topics = [config.ordersTopic, config.orderEventsTopic];
  const repair = createLedgerMaintenance(redis);
  const runs = createOrderRuns(client, config.taskQueue);
  const progress = createAuditProgressStore(redis, config.taskQueue);
  const showSummary = createAuditMetrics();

  let foundAt = Date.now();
  const registerLost = async (): Promise<void> => {
    if (Date.now() - foundAt < FIND_LOST_EVERY_MS) return;
    foundAt = Date.now();
    try {
      const known = new Set(await registry.items());
      const unknown = (await findOpenItems(redis)).filter((itemId) => !known.has(itemId));
      const items = await registerLedgers({ opening, registry }, unknown);
      if (items.length > 0) logger.warn({ items }, 'Temporal had lost these ledgers');
    } catch (error) {
      // One node of a Cluster that is away does not keep the other items from being audited.
      logger.error({ err: error }, 'ledgers that Temporal has lost were not looked for');
    }
  };

  /** A producer of its own: a lost record is rare, and an idle connection for it costs more than opening one. */
  const appendOrder = async (order: Order): Promise<void> => {
    const producer = await createSafeProducer({
      createProducer: () => createProducer(kafka),
      topic: config.ordersTopic,
      partitions: await partitionCount(kafka, config.ordersTopic),
      logger,
    });
    try {
      await producer.append({ key: order.requestId, value: encodeOrder(order) });
    } finally {
      await producer.close(CLOSE_MS_MAX);
    }
  };

  return async () => {
    await registerLost();
    const summary = await auditStock({
      ledger,
      provider,
      repair,
      opening,
      registry,
      runs,
      lookUpCharges: createChargeLookup(provider),
      isLogRead: () => isLogRead(kafka, config.ordersTopic, config.consumerGroup),
      findRecords: (orders) => findRecords(kafka, config.ordersTopic, orders),
      readCancellations: (itemId, requestIds) =>
        readCancellations(kafka, config.cancellationsTopic, itemId, requestIds),
      appendOrder,
      outcomes,
      archive,
      archiveLook: archiveLookOf({ database, kafka, topics }),
      wait: (ms) => sleep(ms),
      progress,
      heartbeat: () => {
        heartbeat();
      },
      onFailure: ({ itemId, error }) => {
        logger.error({ itemId, err: error }, 'the audit of an item failed');
      },
      onItem: ({ itemId, differences, mended }) => {
        for (const difference of differences) {
          logger.warn({ itemId, ...difference }, 'ledger, workflows, charges and archive differ');
        }
        for (const difference of mended) logger.info({ itemId, ...difference }, 'mended');
      },
    });
    showSummary(summary);
    logger.info(summary, 'stock audit');
    return summary;
  };
}

/** The result of the last step in this process. With several workers each shows its own last one. */
function createAuditMetrics() {
  const differences = new Gauge({
    name: 'ledger_differences',
    help: 'Differences between ledger, workflows, charges and archive that the audit has left, by kind',
    labelNames: ['kind'],
  });
  const items = new Gauge({
    name: 'ledger_audit_items',
    help: 'Items that are audited',
  });
  const failed = new Gauge({
    name: 'ledger_audit_failed_items',
    help: 'Items whose audit failed in the last step; the others are audited all the same',
  });
  const completeFrom = new Gauge({
    name: 'ledger_audit_complete_timestamp_seconds',
    help: 'When the oldest complete audit of an item began, in seconds since the epoch: how far the audit is behind',
  });
  const lastRun = new Gauge({
    name: 'ledger_audit_last_run_timestamp_seconds',
    help: 'When the last step of the audit ended, in seconds since the epoch; 0 before the first',
  });
  return (summary: AuditSummary) => {
    for (const kind of DIFFERENCE_KINDS) differences.set({ kind }, summary.differences[kind] ?? 0);
    items.set(summary.items);
    failed.set(summary.failed.length);
    completeFrom.set((summary.completeFrom ?? Date.now()) / 1_000);
    lastRun.setToCurrentTime();
  };
}

/** Lets Temporal start the audit as often as is configured. If that fails, orders are processed all the same. */
export function scheduleStockAudit(client: Client, config: WorkerConfig, logger: Logger): void {
  const { taskQueue, auditEveryMs: everyMs } = config;
  if (everyMs === 0) return;
  ensureAuditSchedule(client, { taskQueue, everyMs }).catch((error: unknown) => {
    logger.error({ err: error }, 'the stock audit is not scheduled');
  });
}
