import type { Order } from '../../engine/orders/order';
import type { Queued } from '../../engine/stock/admission';
import { encodeOrder } from '../../engine/orders/order-record';
import { NotAppendedError } from '../../engine/kafka/safe-producer';
import { createDeadlines } from '../http/deadlines';
import type { FaultLog } from '../errors/error-log';
import { createInFlight } from './in-flight';

/**
 * 4 s from the hand-over of a record to its answer. A broker that restarts or hands over a partition is back in less; a hold's
 * lease is nearly four times as long, so units are not given away while their buyer still waits.
 */
export const APPEND_DEADLINE_MS = 4_000;

/** Where held orders are written down. */
export interface OrderAppender {
  /** Resolves once Kafka has acknowledged the record. Rejects with NotAppendedError when it certainly is not in the log. */
  append(record: { key: string; value: Buffer }): Promise<unknown>;
}

export type Placement =
  /** Acknowledged and queued: the order will reach an outcome. */
  | 'queued'
  /** Certainly not in the log: nothing will come of it. */
  | 'refused'
  /** Handed over, but not (or not yet) known to be acknowledged and queued. */
  | 'unknown';

export interface PlaceOrderDeps {
  readonly appender: OrderAppender;
  /** Held → queued. False: the entry is gone. */
  readonly queue: (order: Queued) => Promise<boolean | Error>;
  readonly faults: FaultLog;
  /** Milliseconds. */
  readonly deadlineMs?: number;
}

export interface PlaceOrder {
  /** Writes a held order to the log and queues it. Never rejects; answers within the deadline. */
  readonly place: (order: Order) => Promise<Placement>;
  /** Resolves once no placement is under way, late ones included, or after `boundMs`. */
  readonly whenSettled: (boundMs: number) => Promise<boolean>;
}

export function createPlaceOrder({
  appender,
  queue,
  faults,
  deadlineMs = APPEND_DEADLINE_MS,
}: PlaceOrderDeps): PlaceOrder {
  const deadlines = createDeadlines(deadlineMs);
  // The appender bounds what it takes, and so the number of placements.
  const underWay = createInFlight(Infinity);

  const append = async (order: Order) => {
    await appender.append({ key: order.requestId, value: encodeOrder(order) });
  };
  const queueAcknowledged = async (order: Order): Promise<Placement> => {
    const queued = await queue(order);
    if (queued === true) return 'queued';
    const cause = queued === false ? new Error('The ledger has no such order any more') : queued;
    faults.report('an acknowledged order could not be queued', cause, {
      requestId: order.requestId,
    });
    return 'unknown';
  };
  const appendFailed = (error: unknown): Placement => {
    if (error instanceof NotAppendedError) return 'refused';
    faults.report('an order was handed over and not acknowledged', error);
    return 'unknown';
  };

  return {
    place: (order) => {
      underWay.enter();
      return new Promise((resolve) => {
        // Only the answer has a deadline. The placement goes on, and a late acknowledgement still queues its order.
        const cancelDeadline = deadlines.start(() => {
          resolve('unknown');
        });
        void append(order)
          .then(() => queueAcknowledged(order), appendFailed)
          .then((placement) => {
            cancelDeadline();
            underWay.leave();
            resolve(placement);
          });
      });
    },
    whenSettled: underWay.whenEmpty,
  };
}
