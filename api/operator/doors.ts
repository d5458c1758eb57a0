import { setTimeout as sleep } from 'node:timers/promises';
import { withAppender } from '../../engine/dead-letters/doors/appender';
import { withOrderReplayer } from '../../engine/dead-letters/doors/order-replayer';
import { createDeadLetterReader } from '../../engine/dead-letters/doors/reader';
import { OperatorFault } from '../../engine/dead-letters/operator-error';
import { createMarkWriter } from '../../engine/kafka/dead-letters';
import type { ApiConfig, OperatorConfig } from '../../platform/config';
import type { RedisConnection } from '../../platform/redis';
import { claimOrder } from '../../engine/stock/claims';
import { createStockOperations } from '../../engine/stock/operations/redis-stock-operations';
import type { OperatorDeps } from './operator';

/** A tenth of what the command line reads: this process has purchases to answer, and a letter takes about 1 KB. */
const RECORDS_READ_MAX = 10_000;

/**
 * What operators need, on the real systems. Kafka and Temporal are met on connections that are opened for each request of
 * an operator and closed after it: the door neither waits for them nor shares anything with them.
 */
export function createOperatorDoors(
  { token, temporal, taskQueue }: OperatorConfig,
  { kafka, ordersTopic, deadLetterTopic, orderRetentionMs }: ApiConfig,
  redis: RedisConnection,
): OperatorDeps {
  const reader = createDeadLetterReader(kafka, deadLetterTopic, RECORDS_READ_MAX);
  return {
    token: token.reveal(),
    operations: createStockOperations(redis),
    letters: {
      readLetters: () => reader.read(),
      withMarks: (use) =>
        withAppender(kafka, deadLetterTopic, (producer) => use(createMarkWriter(producer))),
      withOrders: (use) => withAppender(kafka, ordersTopic, use),
      withReplayer: (use) => withOrderReplayer({ ...temporal, taskQueue }, use),
      claim: (order) =>
        claimOrder(redis, order, orderRetentionMs).catch((cause: unknown) => {
          throw new OperatorFault('unavailable', 'Redis gives no answer', { cause });
        }),
      now: Date.now,
      sleep,
    },
  };
}
