import type { ItemId, Order, RequestId } from '../orders/order';
import { EVENT_STATUSES, type EventStatus } from '../orders/order-event';
import { toOrder, type ArchivedOrder } from './archive';
import type { ArchiveDatabase } from './database';

/** An order that came to an end. */
export interface EndedOrder extends ArchivedOrder {
  readonly status: EventStatus;
}

export type EndedOrders = ReturnType<typeof createEndedOrders>;

/** What is asked about orders that may have left the ledger. Both methods throw when PostgreSQL does not answer in time. */
export function createEndedOrders(database: ArchiveDatabase) {
  return {
    /** How an acceptance ended; undefined while it has not, where another one repeats it, and for one without an order id. */
    endOf: async ({ orderId }: Pick<Order, 'orderId'>): Promise<EndedOrder | undefined> => {
      if (orderId === undefined) return undefined;
      const row = await database
        .selectFrom('order_states')
        .selectAll()
        .where('order_id', '=', orderId)
        .where('status', 'in', EVENT_STATUSES)
        .$narrowType<{ status: EventStatus }>()
        .executeTakeFirst();
      return row && toOrder(row);
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
