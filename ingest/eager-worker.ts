import type { Client } from '@temporalio/client';
import type { NativeConnection, Worker } from '@temporalio/worker';
import { createOrderWorker } from '../activities/order-worker';
import type { DeadLetterWriter } from '../engine/kafka/dead-letters';
import type { OutcomePublisher } from '../engine/kafka/outcome-publisher';
import type { ItemId } from '../engine/orders/order';
import { createPaymentAlarms } from '../engine/payments/payment-alarms';
import { createLedgerOfRecord, NO_ARCHIVE } from '../engine/archive/ledger-of-record';
import { openPaymentProvider } from '../engine/payments/open-provider';
import {
  createLedgerOpener,
  createLedgerOpening,
  createOpeningLedger,
} from '../engine/stock/ledger-opener';
import { createLedgerRegistry } from '../engine/stock/ledger-registry';
import type { StockLedger } from '../engine/stock/stock-ledger';
import type { IngestConfig } from '../platform/config';
import type { Failpoints } from '../platform/failpoints';
import type { Logger } from '../platform/logger';
import type { RedisConnection } from '../platform/redis';
import { FAILPOINTS } from './start-orders';

/**
 * The order worker of ingest: an order that is started on the worker's own connection runs here at once, without a queue at
 * the server. Undefined where the configuration leaves all orders to the workers.
 */
export async function createEagerWorker(parts: {
  readonly config: IngestConfig;
  readonly connection: NativeConnection;
  readonly client: Client;
  readonly redis: RedisConnection;
  readonly ledger: StockLedger;
  readonly deadLetters: DeadLetterWriter;
  readonly outcomes: OutcomePublisher;
  readonly failpoints: Failpoints<'ingest'>;
  /** Called when an order is sold here. */
  readonly onSold: (itemId: ItemId) => void;
  readonly logger: Logger;
}): Promise<Worker | undefined> {
  const { config, connection, client, redis, ledger, failpoints, onSold, logger } = parts;
  const { taskQueue, orderRetentionMs, payments, eagerOrdersMax } = config;
  if (eagerOrdersMax === 0) return undefined;
  const registry = createLedgerRegistry(client, taskQueue);
  const opener = createLedgerOpener(createLedgerOpening(redis), registry);
  const clients = {
    // A step of an order that has left the ledger fails here, and goes on in a worker.
    ledger: createLedgerOfRecord(createOpeningLedger(ledger, opener, registry), NO_ARCHIVE),
    provider: failpoints.around(openPaymentProvider(payments), FAILPOINTS.provider),
    deadLetters: parts.deadLetters,
    outcomes: parts.outcomes,
    orderRetentionMs,
    ...createPaymentAlarms(logger),
  };
  const { namespace } = config.temporal;
  return createOrderWorker({
    connection,
    namespace,
    taskQueue,
    clients,
    eager: { tasksMax: eagerOrdersMax, onSold },
  });
}
