import { Client } from '@temporalio/client';
import {
  createAuditActivities,
  createDeadLetterActivities,
  createPaymentActivities,
  createStockActivities,
} from '../activities';
import { createDeadLetterWriter } from '../engine/kafka/dead-letters';
import { createKafka, createProducer } from '../engine/kafka/kafka-client';
import { encodeOrder } from '../engine/orders/order-record';
import { createSafeProducer } from '../engine/kafka/safe-producer';
import { checkTopic } from '../engine/kafka/topics';
import { createHttpPaymentProvider } from '../engine/payments/http-provider';
import { loadWorkerConfig } from '../platform/config';
import { createFailpoints } from '../platform/failpoints';
import { startHealthServer } from '../platform/health-server';
import { createLifecycle, runProcess } from '../platform/lifecycle';
import { createLogger } from '../platform/logger';
import { connectRetryingRedis, watchRedisDurability } from '../platform/redis';
import { connectTemporal, installTemporalRuntime } from '../platform/temporal';
import {
  createLedgerOpener,
  createOpeningLedger,
  createLedgerOpening,
} from '../engine/stock/ledger-opener';
import { createLedgerRegistry } from '../engine/stock/ledger-registry';
import { createStockLedger } from '../engine/stock/stock-ledger';
import { DEAD_LETTER_CALLS, LEDGER_CALLS, PAYMENT_CALLS } from './failpoints';
import { createOrderWorker } from '../activities/order-worker';
import { createStockAudit, scheduleStockAudit } from './stock-audit';
import { openSdkMetrics } from './sdk-metrics';

/** Below the 10 s of an activity attempt, so that a silent provider is our fault to report, not the server's to guess. */
const PAYMENT_MS_MAX = 8_000;

async function main(): Promise<void> {
  const config = loadWorkerConfig(process.env);
  const logger = createLogger('worker', config.logLevel);
  const { onShutdown, fail } = createLifecycle(logger);
  const failpoints = createFailpoints('worker', config.failpoints);

  const sdkMetrics = await openSdkMetrics();
  installTemporalRuntime(logger, sdkMetrics.address);

  const redis = connectRetryingRedis(config.redis, logger);
  onShutdown('redis', () => redis.quit());
  watchRedisDurability(redis, { production: config.production, logger, refuse: fail });

  const { production } = config;
  const kafka = createKafka('worker', config.kafka, logger);
  const producer = await createSafeProducer({
    createProducer: () => createProducer(kafka),
    topic: config.deadLetterTopic,
    partitions: await checkTopic(kafka, config.deadLetterTopic, { production, logger }),
    logger,
  });
  onShutdown('kafka', () => producer.close(5_000));

  const connection = await connectTemporal(config.temporal);
  onShutdown('temporal', () => connection.close());
  const client = new Client({ connection, namespace: config.temporal.namespace });
  const registry = createLedgerRegistry(client, config.taskQueue);
  const opener = createLedgerOpener(createLedgerOpening(redis), registry);
  const ledger = createOpeningLedger(
    failpoints.around(createStockLedger(redis), LEDGER_CALLS),
    opener,
  );
  const provider = failpoints.around(
    createHttpPaymentProvider({ baseUrl: config.paymentUrl, timeoutMs: PAYMENT_MS_MAX }),
    PAYMENT_CALLS,
  );
  const auditDeps = { config, redis, client, kafka, ledger, provider, logger };
  const worker = await createOrderWorker({
    connection,
    namespace: config.temporal.namespace,
    taskQueue: config.taskQueue,
    activities: {
      ...createStockActivities(ledger),
      ...createPaymentActivities(provider, ledger),
      ...createDeadLetterActivities(
        failpoints.around(createDeadLetterWriter(producer), DEAD_LETTER_CALLS),
        encodeOrder,
      ),
      ...createAuditActivities(createStockAudit(auditDeps)),
    },
  });

  const health = await startHealthServer(config.host, config.port, {
    ready: async () => {
      const [redisUp, polling] = [redis.status === 'ready', worker.getState() === 'RUNNING'];
      return Promise.resolve({
        ready: redisUp && polling,
        dependencies: { redis: redisUp, temporal: polling },
      });
    },
    moreMetrics: sdkMetrics.read,
  });
  onShutdown('health', () => health.close());

  const running = worker.run();
  onShutdown('worker', () => {
    if (worker.getState() === 'RUNNING') worker.shutdown();
    return running;
  });
  running.catch(fail);
  scheduleStockAudit(auditDeps);
  logger.info({ port: health.port, taskQueue: config.taskQueue }, 'worker is polling');
}

runProcess('worker', main);
