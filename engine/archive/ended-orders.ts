import { sql } from 'kysely';
import type { ItemId, Order, RequestId } from '../orders/order';
import { EVENT_STATUSES, type EventStatus } from '../orders/order-event';
import { toOrder, type ArchivedOrder } from './archive';
import type { ArchiveDatabase } from './database';

/** An order that came to an end. */
export interface EndedOrder extends ArchivedOrder {
  readonly status: EventStatus;
}

export type EndedOrders = ReturnType<typeof createEndedOrders>;

/**
 * What is asked about orders that may have left the ledger. `recordsBehind`: how many records of orders and of their events
 * the archive misses, such as one that was restored from a backup. All methods throw when PostgreSQL does not answer in time.
 */
export function createEndedOrders(database: ArchiveDatabase, recordsBehind: () => Promise<number>) {
  const ended = () =>
    database
      .selectFrom('order_states')
      .selectAll()
      .where('status', 'in', EVENT_STATUSES)
      .$narrowType<{ status: EventStatus }>();
  const findEnd = async ({ orderId }: Pick<Order, 'orderId'>) =>
    orderId === undefined ? undefined : ended().where('order_id', '=', orderId).executeTakeFirst();
  /** Throws where the answer is no end and the archive misses records: one of them may be the end. */
  const definite = async (find: () => ReturnType<typeof findEnd>) => {
    const found = await find();
    if (found) return toOrder(found);
    const missing = await recordsBehind();
    if (missing > 0) {
      throw new Error(`The archive misses ${missing} records: nobody knows how an order ended`);
    }
    const since = await find();
    return since && toOrder(since);
  };
  return {
    /** How an acceptance ended under its own order id; undefined while it has not, and for one without an order id. */
    endOf: (order: Pick<Order, 'orderId'>): Promise<EndedOrder | undefined> =>
      definite(() => findEnd(order)),

    /** The same, or else how the acceptance ended that this one repeats: one run carries out both. */
    endOfRequest: (order: Order): Promise<EndedOrder | undefined> => {
      const { requestId, itemId, userId, amount } = order;
      const acceptedAt = new Date(order.acceptedAt);
      return definite(
        async () =>
          (await findEnd(order)) ??
          ended()
            .where('request_id', '=', requestId)
            .where('item_id', '=', itemId)
            .where('user_id', '=', userId)
            .where('amount', '=', amount)
            .where(sql<boolean>`reason is distinct from 'request-id-reused'`)
            .where((row) =>
              row.or([row('accepted_at', '>=', acceptedAt), row('finished_at', '>=', acceptedAt)]),
            )
            .orderBy('accepted_at', 'desc')
            .orderBy('order_id', 'desc')
            .executeTakeFirst(),
      );
    },

    /** Which of these request_ids, some hundreds, have a sold order of an item. */
    soldAmong: async (
      itemId: ItemId,
      requestIds: readonly RequestId[],
    ): Promise<ReadonlySet<RequestId>> => {
      if (requestIds.length === 0) return new Set();
      const rows = await database
        .selectFrom('orders')
        .select('request_id')
        .where('request_id', 'in', requestIds)
        .where('item_id', '=', itemId)
        .where('status', '=', 'confirmed')
        .execute();
      return new Set(rows.map((row) => row.request_id as RequestId));
    },
  };
}
