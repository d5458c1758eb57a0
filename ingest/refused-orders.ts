import type { OutcomePublisher } from '../engine/kafka/outcome-publisher';
import type { Order } from '../engine/orders/order';
import type { Logger } from '../platform/logger';
import { lookEvery } from '../platform/until';

export type RefusedOrders = ReturnType<typeof createRefusedOrders>;

type Refused = Pick<Order, 'itemId' | 'requestId' | 'fingerprint'>;

const RETRY_EVERY_MS = 2_000;

/** Each takes about 300 bytes. */
const WAITING_MAX = 10_000;

/**
 * Tells other systems of orders that ingest has refused, which have no workflow that could wait for the topic. One whose event
 * cannot be written is tried again as long as this process runs, and keeps no record waiting: a topic that is ill is no reason
 * to start no other order, nor to refuse this one again, with a second letter.
 */
export function createRefusedOrders({
  outcomes,
  logger,
  retryEveryMs = RETRY_EVERY_MS,
}: {
  readonly outcomes: Pick<OutcomePublisher, 'publish'>;
  readonly logger: Logger;
  readonly retryEveryMs?: number;
}) {
  const waiting: Refused[] = [];
  const notTold = (orders: readonly Refused[], error?: unknown) => {
    for (const { itemId, requestId } of orders) {
      logger.error({ err: error, itemId, requestId }, 'the end of a refused order is not told');
    }
  };
  const retries = lookEvery(retryEveryMs, async () => {
    try {
      for (let next = waiting[0]; next; next = waiting[0]) {
        await outcomes.publish(next);
        waiting.shift();
      }
    } catch (error) {
      logger.debug({ err: error, waiting: waiting.length }, 'cannot tell of refused orders yet');
    }
  });
  return {
    /** Resolves once Kafka has the event or the order waits for it. */
    tell: async ({ itemId, requestId, fingerprint }: Refused): Promise<void> => {
      // Not the order, of which the rest would be kept in memory.
      const order = { itemId, requestId, fingerprint };
      try {
        await outcomes.publish(order);
      } catch (error) {
        if (waiting.length >= WAITING_MAX) {
          notTold([order], error);
          return;
        }
        waiting.push(order);
        logger.warn({ err: error, itemId, requestId }, 'a refused order is told of later');
      }
    },
    /** Tries once more. */
    stop: async (): Promise<void> => {
      retries.stop();
      await retries.refresh();
      notTold(waiting);
    },
  };
}
