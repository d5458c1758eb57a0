import { addressesOf, createKafka, createProducer } from '../../kafka/kafka-client';
import { createSafeProducer, type SafeProducer } from '../../kafka/safe-producer';
import { partitionCount } from '../../kafka/topics';
import { within } from '../../kafka/within';
import type { KafkaAccess } from '../../../platform/config/access';
import { createLogger } from '../../../platform/logger';
import { OperatorFault } from '../operator-error';

/** A broker that is being replaced is back within that; a person waits no longer. */
const APPEND_MS_MAX = 15_000;
const CLOSE_MS_MAX = 2_000;

/**
 * Runs `use` with a producer for `topic` whose appends are bounded in time, and closes it. Throws an OperatorFault when
 * Kafka does not answer; an append that got no answer may have happened.
 */
export async function withAppender<T>(
  access: KafkaAccess | readonly string[],
  topic: string,
  use: (producer: Pick<SafeProducer, 'append'>) => Promise<T>,
): Promise<T> {
  const explain = (cause: unknown): never => {
    const message = `Cannot write to ${topic} in Kafka at ${addressesOf(access)}`;
    throw new OperatorFault('unavailable', message, { cause });
  };
  const kafka = createKafka('flash-sale-dead-letters', access);
  const open = async () =>
    createSafeProducer({
      createProducer: () => createProducer(kafka),
      topic,
      partitions: await partitionCount(kafka, topic),
      logger: createLogger('dead-letters', 'silent'),
    });
  const producer = await open().catch(explain);
  try {
    return await use({
      append: (entry) =>
        within(producer.append(entry), APPEND_MS_MAX, `writing to ${topic}`).catch(explain),
    });
  } finally {
    await producer.close(CLOSE_MS_MAX);
  }
}
