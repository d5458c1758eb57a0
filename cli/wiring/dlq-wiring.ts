import { setTimeout as sleep } from 'node:timers/promises';
import { withAppender } from '../../engine/dead-letters/doors/appender';
import { withOrderReplayer } from '../../engine/dead-letters/doors/order-replayer';
import { createDeadLetterReader } from '../../engine/dead-letters/doors/reader';
import type { Order } from '../../engine/orders/order';
import { createMarkWriter } from '../../engine/kafka/dead-letters';
import { claimOrder } from '../../engine/stock/claims';
import { dlqDiscard } from '../commands/dlq/discard';
import { dlqLs } from '../commands/dlq/ls';
import { dlqReplay } from '../commands/dlq/replay';
import { dlqShow } from '../commands/dlq/show';
import { dlqStats } from '../commands/dlq/stats';
import type { DlqCommands } from '../programs/dlq-program';
import { operatorName } from '../arguments/operator-name';
import type { Terminal } from '../output/terminal';
import { withRedis } from './redis-connection';
import type { StackAccess } from './stack-access';
import type { CommonOptions } from '../usage';

export interface DlqWiring {
  readonly terminal: Terminal;
  /** Whether somebody watches standard error. */
  readonly isWatched: boolean;
  readonly find: (options: CommonOptions) => StackAccess;
  readonly names: {
    readonly taskQueue: string;
    readonly ordersTopic: string;
    readonly deadLetterTopic: string;
    readonly orderRetentionMs: number;
  };
}

/** The commands about dead letters, on the real Kafka and Temporal. */
export function createDlqCommands({ terminal, isWatched, find, names }: DlqWiring): DlqCommands {
  const doors = (options: CommonOptions) => {
    const { kafka, redis: redisAccess, temporal } = find(options);
    const { deadLetterTopic, ordersTopic, orderRetentionMs } = names;
    return {
      terminal,
      isWatched,
      sleep,
      now: Date.now,
      by: operatorName(),
      readLetters: () => createDeadLetterReader(kafka, deadLetterTopic).read(),
      withMarks: <T>(use: (marks: ReturnType<typeof createMarkWriter>) => Promise<T>) =>
        withAppender(kafka, deadLetterTopic, (producer) => use(createMarkWriter(producer))),
      withOrders: <T>(use: Parameters<typeof withAppender<T>>[2]) =>
        withAppender(kafka, ordersTopic, use),
      claim: (order: Order) =>
        withRedis(redisAccess, (redis) => claimOrder(redis, order, orderRetentionMs)),
      withReplayer: <T>(use: Parameters<typeof withOrderReplayer<T>>[1]) =>
        withOrderReplayer({ ...temporal, taskQueue: names.taskQueue }, use),
    };
  };
  return {
    dlqLs: (options) => dlqLs(doors(options), options),
    dlqShow: (options) => dlqShow(doors(options), options),
    dlqStats: (options) => dlqStats(doors(options), options),
    dlqReplay: (options) => dlqReplay(doors(options), options),
    dlqDiscard: (options) => dlqDiscard(doors(options), options),
  };
}
