import { sharedCounter } from '../../platform/metrics';
import type { LedgerEntry } from '../orders/ledger';
import type { ItemId, Order, RequestId } from '../orders/order';
import { encodeOrderEvent, EVENT_CONTENT_TYPE, outcomeEvent } from '../orders/order-event';
import { encodeReturnEvent, type ReturnEvent } from '../orders/return-event';
import { RETURN_STATUSES } from '../orders/sale-return';
import { NotAppendedError, type SafeProducer } from './safe-producer';

/** A record that is not sent by then is withdrawn: the caller tries again, and its repetitions must not pile up. */
const UNSENT_MS_MAX = 5_000;

/** While an event waits for longer the others fail at once: none of them keeps a slot of the worker from other orders. */
const WAITING_MS_MAX = 1_000;

export type OutcomePublisher = Pick<ReturnType<typeof createOutcomePublisher>, 'publish'>;
export type ReturnPublisher = Pick<ReturnType<typeof createOutcomePublisher>, 'publishReturn'>;

/** Tells other systems what became of orders. `producer` appends to the topic of order events. */
export function createOutcomePublisher(
  ledger: {
    /** The entry of an order of an item; undefined when there is none. Throws when the ledger cannot be read. */
    findOrder(
      requestId: RequestId,
      itemId: ItemId,
    ): Promise<{ readonly itemId: ItemId; readonly entry: LedgerEntry } | undefined>;
  },
  producer: Pick<SafeProducer, 'append'>,
) {
  const faults = sharedCounter({
    name: 'flash_sale_event_faults_total',
    help: 'Times that an event of an order could not be written; it is tried again',
  });
  const returns = sharedCounter({
    name: 'flash_sale_returns_total',
    help: 'Refunds and disputes of sold orders that were told, by the status they came to',
    labelNames: ['kind', 'status'],
  });
  // An alert asks for an increase, which the first sample of a new series is not.
  for (const [kind, statuses] of Object.entries(RETURN_STATUSES)) {
    for (const status of statuses) returns.inc({ kind, status }, 0);
  }
  /** Since when the events under way wait, the oldest first. */
  const waiting = new Map<symbol, number>();

  const append = async (requestId: RequestId, value: Buffer): Promise<void> => {
    const [oldest = Infinity] = waiting.values();
    if (performance.now() - oldest > WAITING_MS_MAX) {
      throw new NotAppendedError('Kafka takes no events at the moment');
    }
    const own = Symbol();
    waiting.set(own, performance.now());
    try {
      await producer.append({
        key: requestId,
        value,
        headers: { 'content-type': EVENT_CONTENT_TYPE },
        until: performance.now() + UNSENT_MS_MAX,
      });
    } catch (error) {
      faults.inc();
      throw error;
    } finally {
      waiting.delete(own);
    }
  };

  return {
    /**
     * Publishes the state of an order as the ledger has it now. Resolves once Kafka has the event, perhaps twice; at once where
     * there is nothing to tell: the order is under way again, so that whoever ends it tells of it, or the request_id belongs
     * to another request. `end` counts where the ledger does not have the order. Rejects when the ledger cannot be read, and
     * as the producer's `append` does.
     */
    async publish(
      { itemId, requestId, fingerprint }: Pick<Order, 'itemId' | 'requestId' | 'fingerprint'>,
      end?: LedgerEntry,
    ): Promise<void> {
      const inLedger = await ledger.findOrder(requestId, itemId);
      const found = inLedger ?? (end && { itemId, entry: end });
      if (found?.entry.fingerprint !== fingerprint) return;
      const event = outcomeEvent({ ...found, requestId });
      if (event === undefined) return;
      await append(requestId, encodeOrderEvent(event));
    },

    /** Publishes a refund or a dispute of a sold order; rejects as the producer's `append` does. */
    async publishReturn(event: ReturnEvent): Promise<void> {
      await append(event.order.requestId, encodeReturnEvent(event));
      const { kind, status } = event.returned;
      returns.inc({ kind, status });
    },
  };
}
