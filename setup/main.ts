import { ensureTopics, saleTopics } from '../engine/kafka/topics';
import { loadIngestConfig } from '../platform/config';
import { runProcess } from '../platform/lifecycle';
import { createLogger } from '../platform/logger';
import { prepareNamespace } from './temporal-namespace';
import { DEMO_ITEM, putDemoItemOnSale } from './demo-item';

/**
 * Gets Kafka and Temporal ready for orders, and ends: once per installation, and again after every change, for what is
 * there stays. The three systems and the names in them are those of ingest, so its configuration is the one to read.
 * In production nothing is put on sale.
 */
async function main(): Promise<void> {
  const config = loadIngestConfig(process.env);
  const { ordersTopic, deadLetterTopic, temporal } = config;
  const logger = createLogger('setup', config.logLevel);
  // The first process of a container is ended by no signal that it does not listen for.
  for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => process.exit(1));

  await ensureTopics(config.kafka, saleTopics({ ordersTopic, deadLetterTopic }), { logger });
  logger.info({ ordersTopic, deadLetterTopic }, 'the topics are there');

  await prepareNamespace(temporal, {
    report: (line) => {
      logger.warn(line.trim());
    },
    signal: new AbortController().signal,
  });
  logger.info({ namespace: temporal.namespace }, 'Temporal knows the search attributes');

  if (config.production) return;
  const stock = await putDemoItemOnSale(config.redis);
  logger.info({ item: DEMO_ITEM, stock }, 'the demo item is on sale');
}

runProcess('setup', main);
