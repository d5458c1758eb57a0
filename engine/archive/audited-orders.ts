import { sql } from 'kysely';
import type { ItemId, OrderId, RequestId } from '../orders/order';
import type { ArchiveDatabase } from './database';
import {
  isOfThisLife,
  PAY_WITHIN,
  toPastOrder,
  type PastOrder,
  type PastOrderRow,
} from './item-history';
import { retiredAt } from './retire-item';

/** The end of an order, as its event tells it. */
export interface ToldEnd {
  readonly requestId: RequestId;
  readonly orderId: OrderId;
  readonly revision: number;
}

/** The units of an item's orders. */
export interface ArchivedUnits {
  readonly sold: number;
  /** Of orders without an end. */
  readonly live: number;
}

export type AuditedOrders = ReturnType<typeof createAuditedOrders>;

/** What the audit asks the archive. All methods throw when PostgreSQL does not answer in time. */
export function createAuditedOrders(database: ArchiveDatabase) {
  return {
    /**
     * Which of these ends, some hundreds, the archive has not been told: of thousands PostgreSQL would read the whole table.
     * One whose record was set aside was told: it has an alert of its own, and telling it again would set it aside again.
     */
    untold: async (ends: readonly ToldEnd[]): Promise<ReadonlySet<RequestId>> => {
      if (ends.length === 0) return new Set();
      // As texts, which the driver sends in half the time that it takes for arrays. No order id has a space.
      const orderIds = ends.map(({ orderId }) => orderId).join(' ');
      const revisions = ends.map(({ revision }) => String(revision)).join(' ');
      const { rows } = await sql<{ place: string }>`
        select e.place
        from unnest(string_to_array(${orderIds}, ' '), string_to_array(${revisions}, ' '))
          with ordinality as e (order_id, revision, place)
        left join orders o on o.order_id = e.order_id and o.revision >= e.revision::bigint
        where o.order_id is null
      `.execute(database);
      const untold = rows.flatMap(({ place }) => ends[Number(place) - 1]?.requestId ?? []);
      if (untold.length === 0) return new Set();
      const aside = await database
        .selectFrom('set_aside')
        .select('key')
        .where(
          'key',
          'in',
          untold.map((requestId) => Buffer.from(requestId)),
        )
        .execute();
      const isAside = new Set(aside.map(({ key }) => key?.toString()));
      return new Set(untold.filter((requestId) => !isAside.has(requestId)));
    },

    /**
     * Orders of an item without an end that were accepted before a time, the oldest first, behind the last of a page. Those
     * without an order id (orderKey in projection.ts) have no event.
     */
    unended: async (
      itemId: ItemId,
      {
        requestId,
        before,
        after = { acceptedAt: 0, orderId: '' },
        limit,
      }: {
        /** Absent: of all of them. */
        readonly requestId?: RequestId;
        readonly before: number;
        readonly after?: { readonly acceptedAt: number; readonly orderId: string } | undefined;
        readonly limit: number;
      },
    ): Promise<readonly PastOrder[]> => {
      const { rows } = await sql<PastOrderRow>`
        select p.*, ${PAY_WITHIN} from order_states p
        where item_id = ${itemId} and revision = 0 and status = 'queued'
          and order_id not like '%@%' and accepted_at < ${new Date(before)}
          and request_id = coalesce(${requestId ?? null}, request_id)
          and (accepted_at, order_id) > (${new Date(after.acceptedAt)}, ${after.orderId})
        order by accepted_at, order_id
        limit ${limit}
      `.execute(database);
      return rows.map(toPastOrder);
    },

    /**
     * Since the item was last retired. Undefined where the archive need not have all that was sold: the opening of the ledger
     * was before it, or an operator has accepted a ledger that had lost orders. Reads every sold row of the item: half a second for a million.
     */
    units: async (itemId: ItemId): Promise<ArchivedUnits | undefined> => {
      const retired = await retiredAt(database, itemId);
      const { rows } = await sql<{ sold: string; live: string; covered: boolean }>`
        select
          (select coalesce(sum(amount), 0) from orders s
            where item_id = ${itemId} and status = 'confirmed' and revision > 0
              and ${isOfThisLife(retired)})
          + coalesce(sum(amount) filter (where status = 'confirmed'), 0) as sold,
          coalesce(sum(amount) filter (where status = 'queued'), 0) as live,
          coalesce(
            (select bool_or(kind = 'opened') and not bool_or(kind = 'accepted')
              from stock_changes where item_id = ${itemId} and at > ${new Date(retired ?? 0)}),
            false
          ) as covered
        from order_states where item_id = ${itemId} and revision = 0
      `.execute(database);
      const [found] = rows;
      if (!found?.covered) return undefined;
      return { sold: Number(found.sold), live: Number(found.live) };
    },
  };
}
