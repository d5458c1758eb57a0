import { Client } from '@temporalio/client';
import { startConsumer } from '../engine/kafka/consumer';
import { createDeadLetterWriter } from '../engine/kafka/dead-letters';
import { createKafka, createProducer } from '../engine/kafka/kafka-client';
import { createSafeProducer } from '../engine/kafka/safe-producer';
import { checkTopic } from '../engine/kafka/topics';
import { loadIngestConfig } from '../platform/config';
import { createFailpoints } from '../platform/failpoints';
import { startHealthServer } from '../platform/health-server';
import { createLifecycle, runProcess } from '../platform/lifecycle';
import { createLogger } from '../platform/logger';
import { connectRetryingRedis } from '../platform/redis';
import { connectTemporal, installTemporalRuntime } from '../platform/temporal';
import { createStockLedger } from '../engine/stock/redis-stock-ledger';
import { COMMIT_CALL, DEAD_LETTER_CALLS, LEDGER_CALLS, STARTER_CALLS } from './failpoints';
import { createIngestMetrics } from './metrics';
import { createOpenOrders } from './open-orders';
import { createOrderStarter } from './order-starter';
import { createReadiness } from './readiness';
import { createStartOrders } from './start-orders';

/** Letters in hand at the end; the consumer has stopped by then, so they are few. */
const DRAIN_MS_MAX = 3_000;

async function main(): Promise<void> {
  const config = loadIngestConfig(process.env);
  const logger = createLogger('ingest', config.logLevel);
  const { onShutdown, fail } = createLifecycle(logger);
  const failpoints = createFailpoints('ingest', config.failpoints);

  installTemporalRuntime(logger);
  const temporal = await connectTemporal(config.temporal);
  onShutdown('temporal', () => temporal.close());
  const client = new Client({ connection: temporal, namespace: config.temporal.namespace });
  const redis = connectRetryingRedis(config.redis, logger);
  onShutdown('redis', () => redis.quit());
  const kafka = createKafka('ingest', config.kafka, logger);
  const topic = config.deadLetterTopic;
  const { production } = config;
  await checkTopic(kafka, config.ordersTopic, { production, logger });
  const partitions = await checkTopic(kafka, topic, { production, logger });
  const newProducer = () => createProducer(kafka);
  const letters = await createSafeProducer({
    createProducer: newProducer,
    topic,
    partitions,
    logger,
  });
  onShutdown('dead letters', () => letters.close(DRAIN_MS_MAX));

  const starter = failpoints.around(createOrderStarter(client, config.taskQueue), STARTER_CALLS);
  const openOrders = createOpenOrders({
    max: config.openOrdersMax,
    countOpen: () => starter.countOpen(),
  });
  const handle = createStartOrders({
    ...{ starter, openOrders, logger },
    deadLetters: failpoints.around(createDeadLetterWriter(letters), DEAD_LETTER_CALLS),
    ledger: failpoints.around(createStockLedger(redis), LEDGER_CALLS),
    metrics: createIngestMetrics(openOrders),
  });
  const { ordersTopic, consumerGroup: groupId } = config;
  const consumer = await startConsumer({
    kafka,
    topic: ordersTopic,
    groupId,
    logger,
    handle,
    onDead: fail,
    ...(failpoints.isSet && {
      aroundCommit: (commit: () => Promise<void>) => failpoints.between(COMMIT_CALL, commit),
    }),
  });
  onShutdown('consumer', () => consumer.stop());

  const ready = createReadiness({ consumer, temporal, redis });
  const health = await startHealthServer(config.host, config.port, { ready });
  onShutdown('health server', () => health.close());
  logger.info({ port: health.port }, 'ingest is running');
}

runProcess('ingest', main);
