import type { Kafka } from 'kafkajs';
import type { Logger } from '../../platform/logger';
import { createProducer } from './kafka-client';
import { createSafeProducer, type SafeProducer } from './safe-producer';
import { checkTopic } from './topics';

/** A producer for a topic whose settings are checked first. Throws as `checkTopic`, and when Kafka does not answer. */
export async function openProducer(
  kafka: Kafka,
  topic: string,
  {
    production,
    logger,
    lingerMs = 0,
  }: { readonly production: boolean; readonly logger: Logger; readonly lingerMs?: number },
): Promise<SafeProducer> {
  const partitions = await checkTopic(kafka, topic, { production, logger });
  return createSafeProducer({
    createProducer: () => createProducer(kafka),
    topic,
    partitions,
    lingerMs,
    logger,
  });
}
