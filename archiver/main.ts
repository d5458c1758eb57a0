import { openArchive } from '../engine/archive/database';
import { checkArchive } from '../engine/archive/migrate';
import type { ArchivedLog } from '../engine/archive/projection';
import { createArchiveStore } from '../engine/archive/store';
import { createKafka } from '../engine/kafka/kafka-client';
import { checkTopic } from '../engine/kafka/topics';
import { loadArchiverConfig } from '../platform/config';
import { createFailpoints } from '../platform/failpoints';
import { startHealthServer, type ReadyReport } from '../platform/health-server';
import { createLifecycle, runProcess } from '../platform/lifecycle';
import { createLogger } from '../platform/logger';
import { closeDatabasePool, createDatabasePool, pingDatabase } from '../platform/postgres';
import { closeRedis, connectRetryingRedis } from '../platform/redis';
import { createWaiting } from '../platform/waiting';
import { startArchiving } from './archive-logs';
import { startArchivingStock } from './archive-stock';
import { startLedgerRetention } from './ledger-retention';
import { createMetrics } from './metrics';

async function main(): Promise<void> {
  const config = loadArchiverConfig(process.env);
  const { production } = config;
  const logger = createLogger('archiver', config.logLevel);
  const { onShutdown, fail, stopping } = createLifecycle(logger);
  const waiting = createWaiting(logger, stopping);
  const failpoints = createFailpoints('archiver', config.failpoints);

  let ready: () => ReadyReport = waiting.report;
  const health = await startHealthServer(config.host, config.port, { ready: () => ready() });
  onShutdown('health server', () => health.close());

  const pool = createDatabasePool(config.database, { name: 'archiver', logger });
  onShutdown('postgres', () => closeDatabasePool(pool));
  const archive = openArchive(pool);

  const redis = connectRetryingRedis(config.redis, logger);
  onShutdown('redis', () => closeRedis(redis));

  const logs = new Map<string, ArchivedLog>([
    [config.ordersTopic, 'orders'],
    [config.orderEventsTopic, 'order-events'],
    [config.deadLetterTopic, 'dead-letters'],
    [config.operatorActionsTopic, 'operator-actions'],
  ]);
  const kafka = createKafka('archiver', config.kafka, logger);
  const checkTopics = async () => {
    for (const topic of logs.keys()) await checkTopic(kafka, topic, { production, logger });
  };
  await Promise.all([
    waiting
      .waitFor('postgres', () => pingDatabase(pool))
      .then(() => waiting.waitFor('schema of the archive', () => checkArchive(archive))),
    waiting.waitFor('kafka', checkTopics),
  ]);

  const metrics = createMetrics();
  const stock = startArchivingStock({ redis, archive, metrics, logger });
  onShutdown('changes of stock', () => stock.stop());
  const retentions = config;
  const retention = startLedgerRetention({ redis, archive, retentions, metrics, logger });
  onShutdown('ledger retention', () => {
    retention.stop();
  });
  const archiving = await waiting.waitFor('consumer group', () =>
    startArchiving({
      kafka,
      groupId: config.consumerGroup,
      logs,
      store: createArchiveStore(archive),
      failpoints,
      metrics,
      logger,
      onDead: fail,
    }),
  );
  onShutdown('consumer', () => archiving.stop());

  ready = () => {
    const dependencies = { kafka: archiving.joined, postgres: archiving.databaseAnswers };
    return {
      ready: !stopping.aborted && Object.values(dependencies).every(Boolean),
      dependencies,
    };
  };
  logger.info({ port: health.port }, 'the archiver is running');
}

runProcess('archiver', main);
