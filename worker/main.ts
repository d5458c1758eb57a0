import { createServer, type AddressInfo } from 'node:net';
import { Client } from '@temporalio/client';
import { Counter } from 'prom-client';
import { createOrderWorker } from '../activities/order-worker';
import { createDeadLetterWriter } from '../engine/kafka/dead-letters';
import { createKafka, createProducer } from '../engine/kafka/kafka-client';
import { createSafeProducer } from '../engine/kafka/safe-producer';
import { checkTopic } from '../engine/kafka/topics';
import { createHttpPaymentProvider } from '../engine/payments/http-provider';
import type { ForeignCharge } from '../engine/payments/own-charge';
import {
  createLedgerOpener,
  createLedgerOpening,
  createOpeningLedger,
} from '../engine/stock/ledger-opener';
import { createLedgerRegistry } from '../engine/stock/ledger-registry';
import { createStockLedger } from '../engine/stock/stock-ledger';
import { loadWorkerConfig } from '../platform/config';
import { createFailpoints } from '../platform/failpoints';
import { startHealthServer } from '../platform/health-server';
import { createLifecycle, runProcess } from '../platform/lifecycle';
import { createLogger } from '../platform/logger';
import { connectRetryingRedis, watchRedisDurability } from '../platform/redis';
import { connectTemporal, installTemporalRuntime } from '../platform/temporal';
import { FAILPOINTS } from './failpoints';
import { createStockAudit, scheduleStockAudit } from './stock-audit';

/** Below the 10 s of an activity attempt, so that the worker reports a silent provider before the server gives up on it. */
const PAYMENT_MS_MAX = 8_000;

async function main(): Promise<void> {
  const config = loadWorkerConfig(process.env);
  const { production, taskQueue } = config;
  const logger = createLogger('worker', config.logLevel);
  const { onShutdown, fail } = createLifecycle(logger);
  const failpoints = createFailpoints('worker', config.failpoints);

  const sdkMetricsAddress = `127.0.0.1:${String(await freePort())}`;
  installTemporalRuntime(logger, sdkMetricsAddress);

  const redis = connectRetryingRedis(config.redis, logger);
  onShutdown('redis', () => redis.quit());
  watchRedisDurability(redis, { production, logger, refuse: fail });

  const kafka = createKafka('worker', config.kafka, logger);
  const producer = await createSafeProducer({
    createProducer: () => createProducer(kafka),
    topic: config.deadLetterTopic,
    partitions: await checkTopic(kafka, config.deadLetterTopic, { production, logger }),
    logger,
  });
  onShutdown('kafka', () => producer.close(5_000));
  const deadLetters = failpoints.around(createDeadLetterWriter(producer), FAILPOINTS.deadLetters);

  const connection = await connectTemporal(config.temporal);
  onShutdown('temporal', () => connection.close());
  const { namespace } = config.temporal;
  const client = new Client({ connection, namespace });

  const opening = createLedgerOpening(redis);
  const registry = createLedgerRegistry(client, taskQueue);
  const opener = createLedgerOpener(opening, registry);
  const stockLedger = failpoints.around(createStockLedger(redis), FAILPOINTS.ledger);
  const ledger = createOpeningLedger(stockLedger, opener);
  const httpProvider = createHttpPaymentProvider({
    baseUrl: config.paymentUrl,
    timeoutMs: PAYMENT_MS_MAX,
  });
  const provider = failpoints.around(httpProvider, FAILPOINTS.provider);
  const { orderRetentionMs } = config;
  const foreignCharges = new Counter({
    name: 'flash_sale_foreign_charges_total',
    help: 'Payment keys of an order that were found to hold the charge of another one',
  });
  const clients = {
    ledger,
    provider,
    deadLetters,
    orderRetentionMs,
    onForeignCharge: (foreign: ForeignCharge) => {
      foreignCharges.inc();
      logger.error(foreign, 'a payment key holds the charge of another order');
    },
  };

  const auditStock = createStockAudit({
    config,
    redis,
    client,
    kafka,
    ledger,
    opening,
    registry,
    provider,
    logger,
  });
  const worker = await createOrderWorker({ connection, namespace, taskQueue, clients, auditStock });

  const health = await startHealthServer(config.host, config.port, {
    ready: () => {
      const redisUp = redis.status === 'ready';
      const polling = worker.getState() === 'RUNNING';
      return Promise.resolve({
        ready: redisUp && polling,
        dependencies: { redis: redisUp, temporal: polling },
      });
    },
    moreMetrics: async () => (await fetch(`http://${sdkMetricsAddress}/metrics`)).text(),
  });
  onShutdown('health', () => health.close());

  const running = worker.run();
  onShutdown('worker', () => {
    if (worker.getState() === 'RUNNING') worker.shutdown();
    return running;
  });
  running.catch(fail);
  scheduleStockAudit(client, config, logger);
  logger.info({ port: health.port, taskQueue }, 'worker is polling');
}

/**
 * Temporal's native core serves its metrics on a port of its own, and the health server fetches them from there, so that a
 * process has one address. The port is free when it is chosen and bound a moment later: if another process takes it in
 * between, the core refuses to start and the supervisor tries again.
 */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

runProcess('worker', main);
