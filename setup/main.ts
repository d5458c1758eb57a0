import { migrateArchive } from '../engine/archive/migrate';
import { createKafka } from '../engine/kafka/kafka-client';
import { ensureTopics, findShortRetention, saleTopics } from '../engine/kafka/topics';
import { loadSetupConfig } from '../platform/config';
import { runProcess } from '../platform/lifecycle';
import { createLogger, type Logger } from '../platform/logger';
import { connectionOptions } from '../platform/postgres';
import { UserError } from '../platform/user-error';
import { DEMO_ITEM, putDemoItemOnSale } from './demo-item';
import { registerOpenLedgers } from './open-ledgers';
import { prepareNamespace } from './temporal-namespace';

/**
 * Prepares Kafka, Temporal and PostgreSQL for orders, registers ledgers that Temporal has lost, and exits. Run it once per
 * installation and before every update: what it adds to the archive leaves the version before it at work. Outside
 * production it also puts the demo item on sale.
 */
runProcess('setup', async () => {
  const config = loadSetupConfig(process.env);
  const { temporal } = config;
  const topics = saleTopics(config);
  const logger = createLogger('setup', config.logLevel);
  // The first process of a container ignores signals for which it has no listener.
  for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => process.exit(1));

  await ensureTopics(config.kafka, topics, { logger });
  logger.info({ topics: topics.map(({ topic }) => topic) }, 'the topics exist');

  await prepareNamespace(temporal, {
    report: (line) => {
      logger.warn(line.trim());
    },
    signal: new AbortController().signal,
  });
  logger.info({ namespace: temporal.namespace }, 'Temporal has the search attributes');

  const registered = await registerOpenLedgers(config);
  if (registered.length > 0) logger.warn({ items: registered }, 'Temporal has lost these ledgers');

  if (config.database) {
    await checkRetention(config, logger);
    await migrateArchive(connectionOptions(config.database, 'setup'), logger);
    logger.info('PostgreSQL has the schema of the archive');
  }

  if (config.production) return;
  const stock = await putDemoItemOnSale(config.redis);
  logger.info({ item: DEMO_ITEM, stock }, 'the demo item is on sale');
});

/** An archive that is restored from a backup catches up by what the topics still have. */
async function checkRetention(
  config: ReturnType<typeof loadSetupConfig>,
  logger: Logger,
): Promise<void> {
  const { ordersTopic, orderEventsTopic, deadLetterTopic, operatorActionsTopic } = config;
  const topics = [ordersTopic, orderEventsTopic, deadLetterTopic, operatorActionsTopic];
  const kafka = createKafka('flash-sale-setup', config.kafka, logger);
  const found = await findShortRetention(kafka, topics, config.backupAgeMs).catch(
    (error: unknown) => {
      logger.warn({ err: error }, 'Kafka does not show the retention of its topics: check it');
      return [];
    },
  );
  if (found.length === 0) return;
  const text = `a backup of the archive of the age ARCHIVE_BACKUP_AGE would miss orders: ${found.join('; ')}`;
  if (config.production) throw new UserError(text);
  logger.warn(text);
}
