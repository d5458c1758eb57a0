import { sql, type Selectable } from 'kysely';
import type { ItemId, OrderId, RequestId } from '../orders/order';
import type { ArchiveDatabase, ArchiveTables } from './database';

/** An order that has ended, and may still be in the ledger. Times are milliseconds since the epoch. */
export interface FinishedOrder {
  readonly orderId: OrderId;
  readonly requestId: RequestId;
  readonly itemId: ItemId;
  readonly revision: number;
  readonly acceptedAt: number;
  readonly finishedAt: number;
  /** Units of a refunded sale that were put back. */
  readonly restocked: number;
}

export type FinishedOrders = ReturnType<typeof createFinishedOrders>;

/** The orders that may leave the ledger. All methods throw when PostgreSQL does not answer in time. */
export function createFinishedOrders(database: ArchiveDatabase) {
  return {
    /** Those that ended before a time, the oldest first, behind the last one of the page before. */
    page: async ({
      failed,
      before,
      after,
      limit,
    }: {
      readonly failed: boolean;
      readonly before: number;
      readonly after?: Pick<FinishedOrder, 'finishedAt' | 'orderId'> | undefined;
      readonly limit: number;
    }): Promise<FinishedOrder[]> => {
      let query = database
        .selectFrom('orders')
        .selectAll()
        .select(RESTOCKED)
        .where('left_ledger_at', 'is', null)
        .where('revision', '>', '0')
        .where(sql<boolean>`(status = 'failed') = ${failed}`)
        .where('finished_at', '<', new Date(before))
        .orderBy('finished_at')
        .orderBy('order_id')
        .limit(limit);
      if (after) {
        const { finishedAt, orderId } = after;
        query = query.where(
          sql<boolean>`(finished_at, order_id) > (${new Date(finishedAt)}, ${orderId})`,
        );
      }
      return (await query.execute()).map(toFinishedOrder);
    },

    /** Those of some hundred orders that have ended. */
    among: async (orderIds: readonly OrderId[]): Promise<FinishedOrder[]> => {
      if (orderIds.length === 0) return [];
      const rows = await database
        .selectFrom('orders')
        .selectAll()
        .select(RESTOCKED)
        .where('order_id', 'in', orderIds)
        .where('revision', '>', '0')
        .execute();
      return rows.map(toFinishedOrder);
    },

    /** Notes that these ends are not in the ledger any more; one that was followed by another end since is left as it is. */
    left: async (orders: readonly Pick<FinishedOrder, 'orderId' | 'revision'>[]): Promise<void> => {
      if (orders.length === 0) return;
      const ids = orders.map(({ orderId }) => orderId);
      const revisions = orders.map(({ revision }) => String(revision));
      await sql`
        update orders set left_ledger_at = now()
        from unnest(${ids}::text[], ${revisions}::bigint[]) as gone (order_id, revision)
        where orders.order_id = gone.order_id and orders.revision = gone.revision
      `.execute(database);
    },
  };
}

const RESTOCKED = sql<string>`(
  select coalesce(sum(c.units), 0) from stock_changes c where c.order_id = orders.order_id
)`.as('restocked');

function toFinishedOrder(
  row: Selectable<ArchiveTables['orders']> & { readonly restocked: string },
): FinishedOrder {
  return {
    orderId: row.order_id as OrderId,
    requestId: row.request_id as RequestId,
    itemId: row.item_id as ItemId,
    revision: Number(row.revision),
    acceptedAt: row.accepted_at.getTime(),
    finishedAt: row.finished_at?.getTime() ?? 0,
    restocked: Number(row.restocked),
  };
}
