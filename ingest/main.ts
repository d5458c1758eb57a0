import { Client } from '@temporalio/client';
import { Counter, Gauge } from 'prom-client';
import { runOrderWorker } from '../activities/order-worker';
import { startConsumer } from '../engine/kafka/consumer';
import { createDeadLetterWriter } from '../engine/kafka/dead-letters';
import { createKafka, createProducer } from '../engine/kafka/kafka-client';
import { createSafeProducer } from '../engine/kafka/safe-producer';
import { checkTopic } from '../engine/kafka/topics';
import { ORDER_WORKFLOW } from '../engine/orders/contract';
import { createClaimKeeper } from '../engine/stock/claims';
import { createStockLedger } from '../engine/stock/stock-ledger';
import { loadIngestConfig } from '../platform/config';
import { createFailpoints } from '../platform/failpoints';
import { startHealthServer } from '../platform/health-server';
import { createLifecycle, runProcess } from '../platform/lifecycle';
import { createLogger } from '../platform/logger';
import { connectRetryingRedis, watchRedisDurability } from '../platform/redis';
import { connectTemporal, installTemporalRuntime, sdkMetrics } from '../platform/temporal';
import { within } from '../platform/until';
import { createEagerWorker } from './eager-worker';
import { createKeptClaims } from './kept-claims';
import { createOpenOrders } from './open-orders';
import { createOrderStarter, createStartOrders, FAILPOINTS } from './start-orders';

/** The consumer has stopped before, so few dead letters are left to drain. */
const DRAIN_MS_MAX = 3_000;
/** Below the timeout of a probe, which is a second or two. */
const READY_MS_MAX = 1_000;

async function main(): Promise<void> {
  const config = loadIngestConfig(process.env);
  const { production, ordersTopic, deadLetterTopic, taskQueue, orderRetentionMs } = config;
  const logger = createLogger('ingest', config.logLevel);
  const { onShutdown, fail } = createLifecycle(logger);
  const failpoints = createFailpoints('ingest', config.failpoints);

  const metrics = await sdkMetrics();
  // An order that is declined fails its workflow: its dead letter and the Web UI show it.
  installTemporalRuntime(logger, { metricsAddress: metrics.address, mayFail: ORDER_WORKFLOW });
  const temporal = await connectTemporal(config.temporal);
  onShutdown('temporal', () => temporal.close());
  const client = new Client({ connection: temporal, namespace: config.temporal.namespace });

  const redis = connectRetryingRedis(config.redis, logger);
  onShutdown('redis', () => redis.quit());
  watchRedisDurability(redis, { production, logger, refuse: fail });
  const stock = createStockLedger(redis);
  const ledger = failpoints.around(stock, FAILPOINTS.ledger);
  const keeper = createClaimKeeper(redis, orderRetentionMs, logger);
  const claims = createKeptClaims(failpoints.around(keeper, FAILPOINTS.claims));

  const kafka = createKafka('ingest', config.kafka, logger);
  await checkTopic(kafka, ordersTopic, { production, logger });
  const partitions = await checkTopic(kafka, deadLetterTopic, { production, logger });
  const producer = await createSafeProducer({
    createProducer: () => createProducer(kafka),
    topic: deadLetterTopic,
    partitions,
    logger,
  });
  onShutdown('dead letters', () => producer.close(DRAIN_MS_MAX));
  const letters = createDeadLetterWriter(producer);
  const deadLetters = failpoints.around(letters, FAILPOINTS.deadLetters);

  const temporalStarter = createOrderStarter(client, taskQueue, {
    eager: config.eagerOrdersMax > 0,
  });
  const starter = failpoints.around(temporalStarter, FAILPOINTS.starter);
  const openOrders = createOpenOrders({
    max: config.openOrdersMax,
    countOpen: () => starter.countOpen(),
    logger,
  });

  const connections = { connection: temporal, client, redis };
  const ports = { ledger, deadLetters, failpoints, onSold: openOrders.sold };
  const worker = await createEagerWorker({ config, ...connections, ...ports, logger });
  if (worker) runOrderWorker(worker, { onShutdown, fail });

  const records = new Counter({
    name: 'ingest_records_total',
    help: 'Order records finished, by what became of them',
    labelNames: ['outcome'] as const,
  });
  new Gauge({
    name: 'ingest_open_orders',
    help: 'Orders under way, as far as this process knows',
    collect() {
      this.set(openOrders.estimate);
    },
  });

  const handler = createStartOrders({
    starter,
    openOrders,
    deadLetters,
    ledger,
    claims,
    onOutcome: (outcome) => {
      records.inc({ outcome });
    },
    logger,
  });
  const consumer = await startConsumer({
    kafka,
    topic: ordersTopic,
    groupId: config.consumerGroup,
    logger,
    handler,
    onDead: fail,
    aroundCommit: async (commit) => {
      await claims.flush();
      await failpoints.between(FAILPOINTS.commit, commit);
    },
  });
  onShutdown('consumer', () => consumer.stop());

  const ready = async () => {
    const [temporalAnswers, redisAnswers] = await Promise.all([
      answers(
        temporal.withDeadline(Date.now() + READY_MS_MAX, () =>
          temporal.workflowService.getSystemInfo({}),
        ),
      ),
      answers(redis.ping()),
    ]);
    const dependencies = { kafka: consumer.joined, temporal: temporalAnswers, redis: redisAnswers };
    return { ready: Object.values(dependencies).every(Boolean), dependencies };
  };
  const health = await startHealthServer(config.host, config.port, {
    ready,
    moreMetrics: metrics.read,
  });
  onShutdown('health server', () => health.close());
  logger.info({ port: health.port }, 'ingest is running');
}

function answers(call: Promise<unknown>): Promise<boolean> {
  return within(call, READY_MS_MAX, 'a readiness probe').then(
    () => true,
    () => false,
  );
}

runProcess('ingest', main);
