import { Client } from '@temporalio/client';
import { createOrderWorker, runOrderWorker } from '../activities/order-worker';
import { createRefundActivities } from '../activities/refund-activities';
import { openArchive } from '../engine/archive/database';
import { createLedgerOfRecord, NO_ARCHIVE } from '../engine/archive/ledger-of-record';
import { createArchivedReturns } from '../engine/archive/returns';
import { createSales, NO_RETURNS } from '../engine/archive/sales';
import { createDeadLetterWriter } from '../engine/kafka/dead-letters';
import { createKafka } from '../engine/kafka/kafka-client';
import { openEventProducer, openProducer } from '../engine/kafka/open-producer';
import { createOutcomePublisher } from '../engine/kafka/outcome-publisher';
import { createOpeningProducer, type SafeProducer } from '../engine/kafka/safe-producer';
import { ORDER_WORKFLOW } from '../engine/orders/contract';
import { openPaymentProvider } from '../engine/payments/open-provider';
import { createPaymentAlarms } from '../engine/payments/payment-alarms';
import { createHintedRuns, createPaymentHints } from '../engine/payments/payment-hints';
import { createRefundStarter } from '../engine/payments/start-refund';
import { openEndedOrders } from '../engine/reconciliation/archive-lag';
import {
  createLedgerOpener,
  createLedgerOpening,
  createOpeningLedger,
} from '../engine/stock/ledger-opener';
import { createAfterSaleLedger } from '../engine/stock/after-sale';
import { createLedgerRegistry } from '../engine/stock/ledger-registry';
import { createStockLedger } from '../engine/stock/stock-ledger';
import { loadWorkerConfig } from '../platform/config';
import { createFailpoints } from '../platform/failpoints';
import { answers, startHealthServer, type ReadyReport } from '../platform/health-server';
import { createLifecycle, runProcess } from '../platform/lifecycle';
import { createLogger } from '../platform/logger';
import {
  closeRedis,
  connectRetryingRedis,
  pingRedis,
  watchRedisDurability,
} from '../platform/redis';
import {
  installTemporalRuntime,
  pingTemporal,
  sdkMetrics,
  tryTemporal,
} from '../platform/temporal';
import { closeDatabasePool, createDatabasePool } from '../platform/postgres';
import { createWaiting } from '../platform/waiting';
import { FAILPOINTS } from './failpoints';
import { followPaymentEvents, keepPaymentEvents } from './payment-events';
import { createStockAudit, scheduleStockAudit } from './stock-audit';

const DRAIN_MS_MAX = 5_000;

// eslint-disable-next-line max-lines-per-function -- a list of parts
async function main(): Promise<void> {
  const config = loadWorkerConfig(process.env);
  const { production, taskQueue } = config;
  const logger = createLogger('worker', config.logLevel);
  const { onShutdown, fail, stopping } = createLifecycle(logger);
  const waiting = createWaiting(logger, stopping);
  const failpoints = createFailpoints('worker', config.failpoints);

  const metrics = await sdkMetrics();
  // An order that is declined fails its workflow: its dead letter and the Web UI show it.
  installTemporalRuntime(logger, { metricsAddress: metrics.address, mayFail: ORDER_WORKFLOW });

  let ready: () => Promise<ReadyReport> = () => Promise.resolve(waiting.report());
  const health = await startHealthServer(config.host, config.port, {
    ready: () => ready(),
    moreMetrics: metrics.read,
  });
  onShutdown('health', () => health.close());

  const redis = connectRetryingRedis(config.redis, logger);
  onShutdown('redis', () => closeRedis(redis));
  watchRedisDurability(redis, { production, logger, refuse: fail });

  const kafka = createKafka('worker', config.kafka, logger);
  const [connection] = await Promise.all([
    waiting.waitFor('temporal', () => tryTemporal(config.temporal)),
    waiting.waitFor('redis', () => pingRedis(redis)),
  ]);
  onShutdown('temporal', () => connection.close());
  // Without Kafka only dead letters and events wait, in their workflows.
  const openWhenThere = (topic: string, open: () => Promise<SafeProducer>) => {
    const producer = createOpeningProducer(waiting.waitFor(`a producer of ${topic}`, open));
    producer.whenOpen.catch(fail);
    return producer;
  };
  const { deadLetterTopic, orderEventsTopic } = config;
  const letterProducer = openWhenThere(deadLetterTopic, () =>
    openProducer(kafka, deadLetterTopic, { production, logger }),
  );
  const eventProducer = openWhenThere(orderEventsTopic, () =>
    openEventProducer(kafka, orderEventsTopic, logger),
  );
  onShutdown('kafka', () =>
    Promise.all([letterProducer, eventProducer].map((one) => one.close(DRAIN_MS_MAX))),
  );
  const letters = createDeadLetterWriter(letterProducer);
  const deadLetters = failpoints.around(letters, FAILPOINTS.deadLetters);

  const { namespace } = config.temporal;
  const client = new Client({ connection, namespace });

  // The steps of orders that have left the ledger need it, and wait for it; the audit goes on without it.
  const pool = config.database && createDatabasePool(config.database, { name: 'worker', logger });
  if (pool) onShutdown('postgres', () => closeDatabasePool(pool));
  const database = pool && openArchive(pool);
  const archive = database
    ? openEndedOrders({ database, kafka }, [config.ordersTopic, orderEventsTopic])
    : NO_ARCHIVE;

  const opening = createLedgerOpening(redis);
  const registry = createLedgerRegistry(client, taskQueue);
  const opener = createLedgerOpener(opening, registry);
  const stockLedger = failpoints.around(createStockLedger(redis), FAILPOINTS.ledger);
  const openingLedger = createOpeningLedger(stockLedger, opener, registry);
  const ledger = createLedgerOfRecord(openingLedger, archive);
  const provider = failpoints.around(openPaymentProvider(config.payments), FAILPOINTS.provider);
  const publisher = createOutcomePublisher(openingLedger, eventProducer);
  const outcomes = failpoints.around(publisher, FAILPOINTS.outcomes);
  const { orderRetentionMs } = config;
  const alarms = createPaymentAlarms(logger);
  const clients = { ledger, provider, deadLetters, outcomes, orderRetentionMs, ...alarms };

  const auditStock = createStockAudit({
    config,
    redis,
    client,
    kafka,
    ledger,
    opening,
    registry,
    provider,
    outcomes,
    archive,
    database,
    logger,
  });
  const refunds = failpoints.around(createRefundStarter(client, taskQueue), FAILPOINTS.refunds);
  const act = createPaymentHints({
    ledger: openingLedger,
    runs: failpoints.around(createHintedRuns(client, taskQueue), FAILPOINTS.runs),
    noteReturns: (sale) => refunds.noteReturns(sale),
    endOf: async (order) => (database ? archive.endOf(order) : undefined),
  });
  const paymentEvents = followPaymentEvents(provider, act, { config, stopping, logger });
  const refundActivities = createRefundActivities({
    sales: createSales({
      ledger: openingLedger,
      afterSale: failpoints.around(createAfterSaleLedger(redis), FAILPOINTS.afterSale),
      archive: {
        endOf: archive.endOf,
        ...(database ? createArchivedReturns(database) : NO_RETURNS),
      },
    }),
    provider,
    returns: failpoints.around(publisher, FAILPOINTS.returns),
    onOddReturn: (returned) => {
      logger.error(returned, 'a refund or dispute is in another currency than its sale');
    },
  });
  const more = { auditStock, ...paymentEvents, ...refundActivities };
  const worker = await createOrderWorker({ connection, namespace, taskQueue, clients, more });

  runOrderWorker(worker, { onShutdown, fail });
  ready = async () => {
    const [redisAnswers, temporalAnswers] = await Promise.all([
      answers(redis.ping()),
      answers(pingTemporal(connection)),
    ]);
    const isPolling = !stopping.aborted && worker.getState() === 'RUNNING';
    return {
      ready: isPolling && redisAnswers && temporalAnswers,
      dependencies: { redis: redisAnswers, temporal: temporalAnswers },
    };
  };
  scheduleStockAudit(client, config, logger);
  void keepPaymentEvents(client, config, { stopping, logger });
  logger.info({ port: health.port, taskQueue }, 'worker is polling');
}

runProcess('worker', main);
