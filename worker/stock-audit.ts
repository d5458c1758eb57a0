import { setTimeout as sleep } from 'node:timers/promises';
import type { Client } from '@temporalio/client';
import type { Kafka } from 'kafkajs';
import { auditStock, type AuditSummary } from '../engine/reconciliation/audit-stock';
import { ensureAuditSchedule } from '../engine/reconciliation/audit-stock';
import { createChargeLookup } from '../engine/reconciliation/audit-item';
import { createOrderRuns } from '../engine/reconciliation/order-runs';
import { createProducer } from '../engine/kafka/kafka-client';
import { isLogRead } from '../engine/kafka/read-log';
import { encodeOrder } from '../engine/orders/order-record';
import { createSafeProducer } from '../engine/kafka/safe-producer';
import { partitionCount } from '../engine/kafka/topics';
import type { PaymentProvider } from '../engine/payments/payment-provider';
import type { Order } from '../engine/orders/order';
import type { WorkerConfig } from '../platform/config';
import type { Logger } from '../platform/logger';
import type { RedisConnection } from '../platform/redis';
import { createLedgerRegistry } from '../engine/stock/ledger-registry';
import type { StockLedger } from '../engine/stock/stock-ledger';
import { createLedgerOpening } from '../engine/stock/ledger-opener';
import { createLedgerMaintenance } from '../engine/stock/ledger-maintenance';
import { createAuditMetrics } from './audit-metrics';

const CLOSE_MS_MAX = 5_000;

export interface StockAuditDeps {
  readonly config: WorkerConfig;
  readonly redis: RedisConnection;
  readonly client: Client;
  readonly kafka: Kafka;
  readonly ledger: StockLedger;
  readonly provider: PaymentProvider;
  readonly logger: Logger;
}

/** The audit of all items on this worker's connections; what it finds goes into the log and the metrics. */
export function createStockAudit(deps: StockAuditDeps): () => Promise<AuditSummary> {
  const { config, redis, client, kafka, ledger, provider, logger } = deps;
  const metrics = createAuditMetrics();
  return async () => {
    const summary = await auditStock({
      ledger,
      provider,
      repair: createLedgerMaintenance(redis),
      opening: createLedgerOpening(redis),
      registry: createLedgerRegistry(client, config.taskQueue),
      runs: createOrderRuns(client, config.taskQueue),
      lookUpCharges: await createChargeLookup(provider, config.paymentUrl),
      isLogRead: () => isLogRead(kafka, config.ordersTopic, config.consumerGroup),
      appendOrder: (order) => appendOrder(order, deps),
      wait: (ms) => sleep(ms),
      onItem: ({ itemId, differences, mended }) => {
        for (const difference of differences) {
          logger.warn({ itemId, ...difference }, 'the books of an item differ');
        }
        for (const difference of mended) logger.info({ itemId, ...difference }, 'mended');
      },
    });
    metrics.audited(summary);
    logger.info(summary, 'stock audit');
    return summary;
  };
}

/** A producer of its own: a lost record is rare, and a connection that waits for one is not worth having. */
async function appendOrder(
  order: Order,
  { kafka, config, logger }: Pick<StockAuditDeps, 'kafka' | 'config' | 'logger'>,
): Promise<void> {
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
}

/** Lets Temporal start the audit as often as is configured. Orders are worked off without it, too. */
export function scheduleStockAudit({
  client,
  config,
  logger,
}: Pick<StockAuditDeps, 'client' | 'config' | 'logger'>): void {
  const { taskQueue, auditEveryMs: everyMs } = config;
  if (everyMs === 0) return;
  ensureAuditSchedule(client, { taskQueue, everyMs }).catch((error: unknown) => {
    logger.error({ err: error }, 'the stock audit is not scheduled');
  });
}
