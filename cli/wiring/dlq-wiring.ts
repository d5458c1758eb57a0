import { createDeadLetterClients } from '../../engine/dead-letters/dead-letter-log';
import type { Order } from '../../engine/orders/order';
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
    const { kafka, redis, temporal } = find(options);
    const { orderRetentionMs, ...rest } = names;
    return {
      ...createDeadLetterClients({ kafka, temporal, ...rest }),
      terminal,
      isWatched,
      by: operatorName(),
      claim: (order: Order) => withRedis(redis, (it) => claimOrder(it, order, orderRetentionMs)),
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
