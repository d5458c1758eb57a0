import { sql, type RawBuilder, type Transaction } from 'kysely';
import type { OrderReason, ItemId, Order, OrderId, RequestId, UserId } from '../orders/order';
import { fingerprint } from '../orders/order-record';
import { toOrder, type ArchivedStatus, type OrderRow } from './archive';
import type { ArchiveDatabase, ArchiveTables } from './database';
import { retiredAt } from './retire-item';

/** An acceptance as a rebuild needs it. Times are milliseconds since the epoch. */
export interface PastOrder {
  readonly order: Order;
  readonly status: Exclude<ArchivedStatus, 'repeated'>;
  readonly reason: OrderReason | undefined;
  readonly generation: number;
  /** 0: no event has told how it ended. */
  readonly revision: number;
  readonly finishedAt: number | undefined;
}

export type ItemHistory = ReturnType<typeof createItemHistory>;

/** The orders of an item in one snapshot of the archive. All methods throw when PostgreSQL does not answer. */
export function createItemHistory(database: ArchiveDatabase) {
  return {
    /** Calls `use` with a snapshot: what is archived meanwhile is not in it. Between two queries it may take seconds. */
    read: <T>(itemId: ItemId, use: (snapshot: Snapshot) => Promise<T>): Promise<T> =>
      database
        .transaction()
        .setIsolationLevel('repeatable read')
        .setAccessMode('read only')
        .execute(async (transaction) => {
          const retired = await retiredAt(transaction, itemId);
          return use(createSnapshot(transaction, itemId, retired));
        }),
  };
}

/** The clocks of Redis and PostgreSQL, in a comparison that is about hours. */
const CLOCKS_DIFFER_MS_MAX = 10 * 60_000;

/**
 * Whether an order `s` is not of a life of its item that ended with a retirement. All orders have left before that: one that
 * was accepted before, and left then, is of the earlier life.
 */
export function isOfThisLife(retired: number | undefined): RawBuilder<boolean> {
  if (retired === undefined) return sql`true`;
  return sql`not exists (
    select from orders earlier
    where earlier.order_id = s.order_id and earlier.accepted_at <= ${new Date(retired)}
      and earlier.left_ledger_at <= ${new Date(retired + CLOCKS_DIFFER_MS_MAX)}
  )`;
}

/** Rows that are in memory at once. */
const PAGE_SIZE = 1_000;

export type Snapshot = ReturnType<typeof createSnapshot>;

function createSnapshot(
  transaction: Transaction<ArchiveTables>,
  itemId: ItemId,
  retired: number | undefined,
) {
  const ofThisLife = isOfThisLife(retired);
  const ofItem = sql`select * from order_states s where s.item_id = ${itemId} and s.status <> 'repeated' and ${ofThisLife}`;
  /** A record that ingest refused says nothing of the order whose request_id it has. */
  const own = sql`s.reason is distinct from 'request-id-reused'`;
  const orders = (query: RawBuilder<PastOrderRow>, onPage: (page: PastOrder[]) => Promise<void>) =>
    eachPage(transaction, query, (rows) => onPage(rows.map(toPastOrder)));
  return {
    /** The units of all sold orders. */
    soldUnits: async (): Promise<number> => {
      const { rows } = await sql<{ units: string }>`
        select coalesce(sum(amount), 0) as units from order_states s
        where item_id = ${itemId} and status = 'confirmed' and ${ofThisLife}
      `.execute(transaction);
      return Number(rows[0]?.units ?? 0);
    },

    /** The same by user, without the units that were put back. */
    owners: (onPage: (page: ReadonlyMap<UserId, number>) => Promise<void>): Promise<void> =>
      eachPage(
        transaction,
        sql<{ user_id: string; units: string }>`
          select user_id, sum(amount - restocked) as units from order_states s
          where item_id = ${itemId} and status = 'confirmed' and ${ofThisLife} group by user_id
        `,
        (rows) =>
          onPage(new Map(rows.map(({ user_id, units }) => [user_id as UserId, Number(units)]))),
      ),

    /** Orders that have not ended. */
    unfinished: (onPage: (page: PastOrder[]) => Promise<void>): Promise<void> =>
      orders(
        sql<PastOrderRow>`select p.*, ${PAY_WITHIN} from (${ofItem} and s.status = 'queued') p`,
        onPage,
      ),

    /** Orders that failed then or later, except where their request_id was accepted again. */
    failed: (since: number, onPage: (page: PastOrder[]) => Promise<void>): Promise<void> =>
      orders(
        sql<PastOrderRow>`${ofItem} and s.status = 'failed' and ${own} and s.finished_at >= ${new Date(since)}
          and not exists (
            select from order_states n
            where n.request_id = s.request_id and n.item_id = s.item_id and n.status <> 'repeated'
              and n.reason is distinct from 'request-id-reused'
              and (n.accepted_at, n.order_id) > (s.accepted_at, s.order_id)
          )`,
        onPage,
      ),

    /** Sold and cancelled orders that were accepted then or later. */
    ended: (since: number, onPage: (page: PastOrder[]) => Promise<void>): Promise<void> =>
      orders(
        sql<PastOrderRow>`${ofItem} and s.status in ('confirmed', 'cancelled') and s.accepted_at >= ${new Date(since)}`,
        onPage,
      ),

    /** The newest order of each of these request_ids, a thousand at most. */
    newest: async (
      requestIds: readonly RequestId[],
    ): Promise<ReadonlyMap<RequestId, PastOrder>> => {
      const { rows } = await sql<PastOrderRow>`
        select distinct on (s.request_id) s.* from order_states s
        where s.request_id = any(${[...requestIds]}::text[]) and s.item_id = ${itemId}
          and s.status <> 'repeated' and ${own} and ${ofThisLife}
        order by s.request_id, s.accepted_at desc, s.order_id desc
      `.execute(transaction);
      return new Map(rows.map(toPastOrder).map((past) => [past.order.requestId, past]));
    },

    /**
     * When the archive was made, when the oldest order of any item was accepted, and when the item was opened if that was
     * recorded.
     */
    beginnings: async (): Promise<{
      readonly archive: number;
      readonly orders?: number;
      readonly item?: number;
    }> => {
      const { rows } = await sql<{ archive: Date; orders: Date | null; item: Date | null }>`
        select
          (select min(run_on)::timestamptz from archive_migrations) as archive,
          (select min(accepted_at) from orders) as orders,
          (select min(at) from stock_changes where item_id = ${itemId} and kind = 'opened') as item
      `.execute(transaction);
      const [found] = rows;
      return {
        archive: found?.archive.getTime() ?? Infinity,
        ...(found?.orders && { orders: found.orders.getTime() }),
        ...(found?.item && { item: found.item.getTime() }),
      };
    },

    /** Events that could not be archived: each may be a sale. Which item's is not known. */
    eventsSetAside: async (topic: string): Promise<number> => {
      const { rows } = await sql<{ records: string }>`
        select count(*) as records from set_aside where topic = ${topic}
      `.execute(transaction);
      return Number(rows[0]?.records ?? 0);
    },
  };
}

async function eachPage<R>(
  transaction: Transaction<ArchiveTables>,
  query: RawBuilder<R>,
  onPage: (rows: readonly R[]) => Promise<void>,
): Promise<void> {
  await sql`declare page no scroll cursor for ${query}`.execute(transaction);
  const fetch = async () =>
    (await sql<R>`fetch ${sql.lit(PAGE_SIZE)} from page`.execute(transaction)).rows;
  for (let page = await fetch(); page.length > 0;) {
    // PostgreSQL has the next one ready when this one is done.
    [page] = await Promise.all([fetch(), onPage(page)]);
  }
  await sql`close page`.execute(transaction);
}

export interface PastOrderRow extends OrderRow<PastOrder['status']> {
  readonly revision: string;
  /** Where it was asked for. */
  readonly pay_within_ms?: string | null;
}

/** A column of an order without an end, for a row `p` of order_states. */
export const PAY_WITHIN = sql`(select o.pay_within_ms from orders o where o.order_id = p.order_id) as pay_within_ms`;

export function toPastOrder(row: PastOrderRow): PastOrder {
  const { orderId, priceMinor, currency, acceptedAt, ...archived } = toOrder(row);
  const { requestId, userId, itemId, amount } = archived;
  const purchase = { requestId, userId, itemId, amount };
  return {
    order: {
      ...purchase,
      // orderKey() made up the id of an order that has none.
      orderId: orderId.includes('@') ? undefined : (orderId as OrderId),
      priceMinor,
      currency,
      fingerprint: fingerprint(purchase),
      acceptedAt,
      ...(row.pay_within_ms != null && { payWithinMs: Number(row.pay_within_ms) }),
    },
    status: archived.status,
    reason: archived.reason,
    generation: archived.generation,
    revision: Number(row.revision),
    finishedAt: archived.finishedAt,
  };
}
