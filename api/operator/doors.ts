import { createDeadLetterClients } from '../../engine/dead-letters/dead-letter-log';
import { unavailable } from '../../engine/dead-letters/operator';
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
  return {
    token: token.reveal(),
    operations: createStockOperations(redis),
    letters: {
      ...createDeadLetterClients(
        { kafka, temporal, taskQueue, ordersTopic, deadLetterTopic },
        RECORDS_READ_MAX,
      ),
      claim: (order) =>
        claimOrder(redis, order, orderRetentionMs).catch(unavailable('Redis gives no answer')),
    },
  };
}
