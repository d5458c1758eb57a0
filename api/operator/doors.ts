import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import { withAppender } from '../../dead-letters/doors/appender';
import { withOrderReplayer } from '../../dead-letters/doors/order-replayer';
import { createDeadLetterReader } from '../../dead-letters/doors/reader';
import { OperatorFault } from '../../dead-letters/operator-fault';
import { createMarkWriter } from '../../orderlog/dead-letters';
import type { ApiConfig, OperatorConfig } from '../../platform/config';
import { claimOrder } from '../../stock/claims';
import { createStockOperations } from '../../stock/operations/redis-stock-operations';
import type { OperatorDeps } from './operator';

/** A tenth of what the command line reads: this process has purchases to answer, and a letter takes about 1 KB. */
const RECORDS_READ_MAX = 10_000;

/**
 * What operators need, on the real systems. Kafka and Temporal are met on connections that are opened for each request of
 * an operator and closed after it: the door neither waits for them nor shares anything with them.
 */
export function createOperatorDoors(
  { token, temporalAddress, temporalNamespace, taskQueue }: OperatorConfig,
  { kafkaAddrs, ordersTopic, deadLetterTopic, orderRetentionMs }: ApiConfig,
  redis: Redis,
): OperatorDeps {
  const reader = createDeadLetterReader(kafkaAddrs, deadLetterTopic, RECORDS_READ_MAX);
  const temporal = { address: temporalAddress, namespace: temporalNamespace, taskQueue };
  return {
    token,
    operations: createStockOperations(redis),
    letters: {
      readLetters: () => reader.read(),
      withMarks: (use) =>
        withAppender(kafkaAddrs, deadLetterTopic, (producer) => use(createMarkWriter(producer))),
      withOrders: (use) => withAppender(kafkaAddrs, ordersTopic, use),
      withReplayer: (use) => withOrderReplayer(temporal, use),
      claim: (order) =>
        claimOrder(redis, order, orderRetentionMs).catch((cause: unknown) => {
          throw new OperatorFault('unavailable', 'Redis gives no answer', { cause });
        }),
      now: Date.now,
      sleep,
    },
  };
}
