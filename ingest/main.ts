import { Client } from '@temporalio/client';
import { Counter, Gauge } from 'prom-client';
import { runOrderWorker } from '../activities/order-worker';
import { startConsumer } from '../engine/kafka/consumer';
import { createDeadLetterWriter } from '../engine/kafka/dead-letters';
import { createKafka } from '../engine/kafka/kafka-client';
import { openEventProducer, openProducer } from '../engine/kafka/open-producer';
import { createOutcomePublisher } from '../engine/kafka/outcome-publisher';
import { createOpeningProducer } from '../engine/kafka/safe-producer';
import { checkTopic } from '../engine/kafka/topics';
import { ORDER_WORKFLOW } from '../engine/orders/contract';
import { createClaimKeeper } from '../engine/stock/claims';
import { createStockLedger } from '../engine/stock/stock-ledger';
import { loadIngestConfig } from '../platform/config';
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
import { createWaiting } from '../platform/waiting';
import { createEagerWorker } from './eager-worker';
import { createKeptClaims } from './kept-claims';
import { createOpenOrders } from './open-orders';
import { createRefusedOrders } from './refused-orders';
import {
  createOrderStarter,
  createStartOrders,
  FAILPOINTS,
  type RecordOutcome,
} from './start-orders';

/** The consumer has stopped before, so few dead letters are left to drain. */
const DRAIN_MS_MAX = 3_000;

async function main(): Promise<void> {
  const config = loadIngestConfig(process.env);
  const { production, ordersTopic, deadLetterTopic, orderEventsTopic } = config;
  const { taskQueue, orderRetentionMs } = config;
  const logger = createLogger('ingest', config.logLevel);
  const { onShutdown, fail, stopping } = createLifecycle(logger);
  const waiting = createWaiting(logger, stopping);
  const failpoints = createFailpoints('ingest', config.failpoints);

  const metrics = await sdkMetrics();
  // An order that is declined fails its workflow: its dead letter and the Web UI show it.
  installTemporalRuntime(logger, { metricsAddress: metrics.address, mayFail: ORDER_WORKFLOW });
  let ready: () => Promise<ReadyReport> = () => Promise.resolve(waiting.report());
  const health = await startHealthServer(config.host, config.port, {
    ready: () => ready(),
    moreMetrics: metrics.read,
  });
  onShutdown('health server', () => health.close());

  const redis = connectRetryingRedis(config.redis, logger);
  onShutdown('redis', () => closeRedis(redis));
  watchRedisDurability(redis, { production, logger, refuse: fail });
  const stock = createStockLedger(redis);
  const ledger = failpoints.around(stock, FAILPOINTS.ledger);
  const keeper = createClaimKeeper(redis, orderRetentionMs, logger);
  const claims = createKeptClaims(failpoints.around(keeper, FAILPOINTS.claims));

  const kafka = createKafka('ingest', config.kafka, logger);
  const openLetters = async () => {
    await checkTopic(kafka, ordersTopic, { production, logger });
    return openProducer(kafka, deadLetterTopic, { production, logger });
  };
  const [temporal, producer] = await Promise.all([
    waiting.waitFor('temporal', () => tryTemporal(config.temporal)),
    waiting.waitFor('kafka', openLetters),
    waiting.waitFor('redis', () => pingRedis(redis)),
  ]);
  onShutdown('temporal', () => temporal.close());
  const client = new Client({ connection: temporal, namespace: config.temporal.namespace });
  const letters = createDeadLetterWriter(producer);
  const deadLetters = failpoints.around(letters, FAILPOINTS.deadLetters);
  // Without its topic only events wait, in their workflows.
  const opening = waiting.waitFor('order events', () =>
    openEventProducer(kafka, orderEventsTopic, logger),
  );
  const events = createOpeningProducer(opening);
  events.whenOpen.catch(fail);
  onShutdown('kafka', () => Promise.all([producer, events].map((one) => one.close(DRAIN_MS_MAX))));
  const outcomes = failpoints.around(createOutcomePublisher(stock, events), FAILPOINTS.outcomes);

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
  const ports = { ledger, deadLetters, outcomes, failpoints, onSold: openOrders.sold };
  const worker = await createEagerWorker({ config, ...connections, ...ports, logger });
  if (worker) runOrderWorker(worker, { onShutdown, fail });

  const refused = createRefusedOrders({ outcomes, logger });
  onShutdown('refused orders', () => refused.stop());
  const records = createMetrics(() => openOrders.estimate);
  const handler = createStartOrders({
    starter,
    openOrders,
    deadLetters,
    refused,
    ledger,
    claims,
    onOutcome: (outcome) => {
      records.inc({ outcome });
    },
    logger,
  });
  const consumer = await waiting.waitFor('consumer group', () =>
    startConsumer({
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
    }),
  );
  onShutdown('consumer', () => consumer.stop());

  ready = async () => {
    const [temporalAnswers, redisAnswers] = await Promise.all([
      answers(pingTemporal(temporal)),
      answers(redis.ping()),
    ]);
    const dependencies = { kafka: consumer.joined, temporal: temporalAnswers, redis: redisAnswers };
    return {
      ready: !stopping.aborted && Object.values(dependencies).every(Boolean),
      dependencies,
    };
  };
  logger.info({ port: health.port }, 'ingest is running');
}

function createMetrics(openOrders: () => number) {
  new Gauge({
    name: 'ingest_open_orders',
    help: 'Orders under way, as far as this process knows',
    collect() {
      this.set(openOrders());
    },
  });
  const records = new Counter({
    name: 'ingest_records_total',
    help: 'Order records finished, by what became of them',
    labelNames: ['outcome'] as const,
  });
  // An alert asks for an increase, which the first sample of a new series is not.
  for (const outcome of ALARMED) records.inc({ outcome }, 0);
  return records;
}

const ALARMED: readonly RecordOutcome[] = ['invalid-record', 'request-id-reused'];

runProcess('ingest', main);
