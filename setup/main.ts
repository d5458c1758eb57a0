import { ensureTopics, saleTopics } from '../engine/kafka/topics';
import { loadSetupConfig } from '../platform/config';
import { runProcess } from '../platform/lifecycle';
import { createLogger } from '../platform/logger';
import { DEMO_ITEM, putDemoItemOnSale } from './demo-item';
import { registerOpenLedgers } from './open-ledgers';
import { prepareNamespace } from './temporal-namespace';

/**
 * Prepares Kafka and Temporal for orders, registers ledgers that Temporal has lost, and exits. Run it once per installation and after every update; it changes
 * nothing that exists. Outside production it also puts
 * the demo item on sale.
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

  if (config.production) return;
  const stock = await putDemoItemOnSale(config.redis);
  logger.info({ item: DEMO_ITEM, stock }, 'the demo item is on sale');
});
