import { collectDefaultMetrics } from 'prom-client';
import { createKafka, createProducer } from '../engine/kafka/kafka-client';
import { createSafeProducer } from '../engine/kafka/safe-producer';
import { checkTopic } from '../engine/kafka/topic-safety';
import { partitionCount } from '../engine/kafka/topics';
import type { ApiConfig } from '../platform/config';
import { createFailpoints } from '../platform/failpoints';
import type { Lifecycle } from '../platform/lifecycle';
import type { Logger } from '../platform/logger';
import { connectFailFastRedis, watchRedisDurability } from '../platform/redis';
import { createLazyTemporalClient } from '../platform/temporal-client';
import { createLedgerOpener } from '../engine/stock/registry/ledger-opener';
import { createLedgerRegistry } from '../engine/stock/registry/ledger-registry';
import { createLedgerOpening } from '../engine/stock/upkeep/ledger-opening';
import { createAdmission } from '../engine/stock/redis-admission';
import { createStockLedger } from '../engine/stock/redis-stock-ledger';
import { createCancelWorkflow } from './cancel/cancel-workflow';
import {
  ADMISSION_CALLS,
  APPENDER_CALLS,
  aroundAcceptances,
  CANCEL_RUN_CALL,
  LEDGER_CALLS,
  PRODUCER_CALLS,
} from './failpoints';
import { createGateway, type GatewayDeps } from './gateway';
import { closeHttpServer, createHttpServer, listen } from './http/server';
import { createKafkaProbe } from './health/kafka-probe';
import { createOperatorDoors } from './operator/doors';

/** After the drain of the gateway; with it and the late orders it stays below the patience of an orchestrator. */
const PRODUCER_DRAIN_MS = 4_000;
const CONNECTIONS_GRACE_MS = 1_000;

export interface GatewayProcess extends Lifecycle {
  readonly logger: Logger;
  /** Absent: this process has the port for itself. */
  readonly joinSiblings?: GatewayDeps['joinSiblings'];
}

/** Connects one gateway process with everything it needs, opens its door, and tells `onShutdown` how to close it all. */
export async function runGateway(
  config: ApiConfig,
  { logger, onShutdown, fail, joinSiblings }: GatewayProcess,
): Promise<void> {
  const failpoints = createFailpoints('api', config.failpoints);
  collectDefaultMetrics();

  const redis = connectFailFastRedis(config.redis, logger);
  onShutdown('redis', () => redis.quit());
  // Purchases have one to themselves: see createAdmission.
  const doorRedis = connectFailFastRedis(config.redis, logger);
  onShutdown('redis of the door', () => doorRedis.quit());
  watchRedisDurability(redis, { production: config.production, logger, refuse: fail });

  // On the way of a purchase only for items without a ledger yet.
  const temporal = createLazyTemporalClient(config.temporal);
  onShutdown('temporal', temporal.close);
  const ledgers = createLedgerOpener({
    opening: createLedgerOpening(redis),
    registry: createLedgerRegistry(temporal.client, config.taskQueue),
  });

  const cancelWorkflow = createCancelWorkflow(temporal.client);

  const { production } = config;
  const kafka = createKafka('flash-sale-api', config.kafka, logger);
  const producer = await createSafeProducer({
    createProducer: () =>
      failpoints.around(
        createProducer(createKafka('flash-sale-api', config.kafka, logger)),
        PRODUCER_CALLS,
      ),
    topic: config.ordersTopic,
    partitions: await checkTopic(kafka, config.ordersTopic, { production, logger }),
    // Two records of one request meet in the workflow id, not in the partition.
    spread: 'by-batch',
    logger,
  });
  const log = createKafkaProbe(producer, () => partitionCount(kafka, config.ordersTopic));

  const { claimTtlMs, orderRetentionMs, temporalUiUrl } = config;
  const { namespace } = config.temporal;
  const defaultPrice = { priceMinor: config.defaultPriceMinor, currency: config.defaultCurrency };
  const gateway = createGateway({
    admission: failpoints.around(
      createAdmission(doorRedis, { claimTtlMs, orderRetentionMs, defaultPrice }),
      ADMISSION_CALLS,
    ),
    ledgers,
    ledger: failpoints.around(createStockLedger(redis), LEDGER_CALLS),
    cancelWorkflow: (requestId) =>
      failpoints.between(CANCEL_RUN_CALL, () => cancelWorkflow(requestId)),
    appender: failpoints.around(log.watched, APPENDER_CALLS),
    probes: { redis: () => doorRedis.ping().then(() => true), kafka: log.probe },
    defaultPrice,
    ...(config.rateLimit && { rateLimit: config.rateLimit }),
    ...(temporalUiUrl && { trace: { uiUrl: temporalUiUrl, namespace } }),
    ...(config.operator && { operator: createOperatorDoors(config.operator, config, redis) }),
    ...(joinSiblings && { joinSiblings }),
    logger,
  });
  onShutdown('late orders', gateway.settleLateOrders);
  onShutdown('producer', () => producer.close(PRODUCER_DRAIN_MS));

  const server = createHttpServer(aroundAcceptances(failpoints, gateway.listener));
  onShutdown('connections', () => closeHttpServer(server, CONNECTIONS_GRACE_MS));
  onShutdown('purchases in hand', gateway.drain);
  const port = await listen(server, config.host, config.port);
  logger.info({ port }, 'the gateway is open');
}
