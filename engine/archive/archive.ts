import { sql } from 'kysely';
import { invariant } from '../orders/invariant';
import type { OrderReason, ItemId, RequestId, UserId } from '../orders/order';
import { EVENT_STATUSES } from '../orders/order-event';
import type { SoldOrders } from '../stock/stock-operations';
import type { ArchiveDatabase, ArchiveTables } from './database';
import { eraseUser } from './erase-user';
import { reportSale } from './report';
import { readReturns } from './returns';
import { retiredAt } from './retire-item';

/** Rows of one answer, in memory and on the way. More are read page by page. */
export const PAGE_MAX = 1_000;

/** An acceptance as the archive has it. Times are milliseconds since the epoch. */
export interface ArchivedAcceptance {
  readonly orderId: string;
  readonly requestId: RequestId;
  readonly itemId: ItemId;
  readonly userId: UserId;
  readonly amount: number;
  readonly priceMinor: number;
  readonly currency: string;
  readonly acceptedAt: number;
  /** `repeated`: the acceptance of an order that has another order id. */
  readonly status: ArchivedStatus;
  /** Of a failed order, and of a cancelled one that was not paid in time. */
  readonly reason: OrderReason | undefined;
  readonly paymentId: string | undefined;
  readonly generation: number;
  readonly finishedAt: number | undefined;
  /** What was given back of it, in minor units. */
  readonly refundedMinor: number;
  /** Units that are on sale again. */
  readonly restocked: number;
}
export const ARCHIVED_STATUSES = ['queued', ...EVENT_STATUSES, 'repeated'] as const;
export type ArchivedStatus = (typeof ARCHIVED_STATUSES)[number];

/** An acceptance that repeats no other one. */
export interface ArchivedOrder extends ArchivedAcceptance {
  readonly status: Exclude<ArchivedStatus, 'repeated'>;
}

/** An order came to an end; a failed one may be tried again, and come to another. */
export interface ArchivedEvent {
  readonly at: number;
  readonly status: ArchiveTables['order_events']['status'];
}

/** Where a page ends: the next one has the orders before it. It stays valid whatever is archived meanwhile. */
export type OrderCursor = Pick<ArchivedAcceptance, 'acceptedAt' | 'orderId'>;

export function cursorText({ acceptedAt, orderId }: OrderCursor): string {
  return `${acceptedAt}.${orderId}`;
}

/** Undefined for what is no cursor. */
export function parseCursor(text: string): OrderCursor | undefined {
  const [, acceptedAt, orderId] = /^(\d{1,15})\.([!-~]{1,300})$/.exec(text) ?? [];
  return orderId === undefined ? undefined : { acceptedAt: Number(acceptedAt), orderId };
}

export interface OrderFilters {
  readonly requestId?: string | undefined;
  readonly userId?: string | undefined;
  readonly itemId?: string | undefined;
  readonly paymentId?: string | undefined;
  readonly status?: ArchivedStatus | undefined;
  readonly reason?: string | undefined;
  /** Accepted then or later, and before `until`. */
  readonly since?: number | undefined;
  readonly until?: number | undefined;
}

export interface Page {
  readonly limit: number;
  /** Absent: from the newest on. */
  readonly cursor?: OrderCursor | undefined;
}

export type Archive = ReturnType<typeof createArchive>;

/**
 * Reads the archive. The pool of `database` bounds how long a query takes. All methods throw when PostgreSQL does not answer
 * in time.
 */
export function createArchive(database: ArchiveDatabase) {
  /**
   * The conditions on columns of `orders` find the rows by its indexes; the view works out what each of them is. A status
   * or a reason of the view is either that of the row, or the row is queued.
   */
  const find = ({ status, ...filters }: OrderFilters, { limit, cursor }: Page) => {
    invariant(limit >= 1 && limit <= PAGE_MAX, `a page of ${limit} orders`);
    let query = database
      .selectFrom('orders as o')
      .innerJoin('order_states as s', 's.order_id', 'o.order_id')
      .selectAll('s')
      .orderBy('o.accepted_at', 'desc')
      .orderBy('o.order_id', 'desc')
      .limit(limit);
    const { requestId, userId, itemId, paymentId, reason, since, until } = filters;
    if (requestId !== undefined) query = query.where('o.request_id', '=', requestId);
    if (userId !== undefined) query = query.where('o.user_id', '=', userId);
    if (itemId !== undefined) query = query.where('o.item_id', '=', itemId);
    if (paymentId !== undefined) query = query.where('o.payment_id', '=', paymentId);
    if (since !== undefined) query = query.where('o.accepted_at', '>=', new Date(since));
    if (until !== undefined) query = query.where('o.accepted_at', '<', new Date(until));
    if (cursor) {
      const { acceptedAt, orderId } = cursor;
      query = query.where(
        sql<boolean>`(o.accepted_at, o.order_id) < (${new Date(acceptedAt)}, ${orderId})`,
      );
    }
    if (reason !== undefined) {
      query = query
        .where((eb) => eb.or([eb('o.reason', '=', reason), eb('o.status', '=', 'queued')]))
        .where('s.reason', '=', reason);
    }
    if (status !== undefined) {
      const stored = status === 'repeated' ? (['queued'] as const) : ([status, 'queued'] as const);
      query = query.where('o.status', 'in', stored).where('s.status', '=', status);
    }
    return query;
  };

  return {
    /**
     * The newest order that was accepted under a request_id; undefined when there is none. One that was refused because the
     * id belongs to another order counts only when that order is not archived.
     */
    newestOrder: async (requestId: RequestId): Promise<ArchivedOrder | undefined> => {
      const row = await database
        .selectFrom('order_states')
        .selectAll()
        .where('request_id', '=', requestId)
        .where('status', '<>', 'repeated')
        .orderBy(sql`reason is not distinct from 'request-id-reused'`)
        .orderBy('accepted_at', 'desc')
        .orderBy('order_id', 'desc')
        .limit(1)
        .$narrowType<{ status: ArchivedOrder['status'] }>()
        .executeTakeFirst();
      return row && toOrder(row);
    },

    /** The orders of a user, newest first, each once. */
    ordersOfUser: async (
      userId: UserId,
      { itemId, ...page }: Page & Pick<OrderFilters, 'itemId'>,
    ): Promise<ArchivedOrder[]> => {
      const rows = await find({ userId, itemId }, page)
        .where('s.status', '<>', 'repeated')
        .$narrowType<{ status: ArchivedOrder['status'] }>()
        .execute();
      return rows.map(toOrder);
    },

    /** All acceptances, newest first. */
    search: async ({
      limit,
      cursor,
      ...filters
    }: OrderFilters & Page): Promise<ArchivedAcceptance[]> =>
      (await find(filters, { limit, cursor }).execute()).map(toOrder),

    /** The newest events of an order, the oldest of them first. */
    eventsOf: async (orderId: string): Promise<ArchivedEvent[]> => {
      const rows = await database
        .selectFrom('order_events')
        .select(['at', 'status'])
        .where('order_id', '=', orderId)
        .orderBy('revision', 'desc')
        .limit(EVENTS_MAX)
        .execute();
      return rows.map(({ at, status }) => ({ at: at.getTime(), status })).reverse();
    },

    /** The refunds of an order and the disputes about it, the oldest first. */
    returnsOf: (orderId: string) => readReturns(database, orderId),

    /** Takes a user_id out of the archive. */
    eraseUser: (userId: UserId) => eraseUser(database, userId),

    /** When an item was last retired. */
    retiredAt: (itemId: ItemId) => retiredAt(database, itemId),

    /** How the sale of an item went; undefined where there is no order of it. */
    report: (itemId: ItemId) => reportSale(database, itemId),

    /** The next offset of each partition of a topic. What is before it is in the answer of every later query. */
    positions: async (topic: string): Promise<ReadonlyMap<number, bigint>> => {
      const rows = await database
        .selectFrom('log_positions')
        .select(['partition', 'next_offset'])
        .where('topic', '=', topic)
        .execute();
      return new Map(rows.map(({ partition, next_offset }) => [partition, BigInt(next_offset)]));
    },
  };
}

/** The sold orders of an item, page by page: those since it was retired, if it was. */
export const readSoldOrders = (archive: Pick<Archive, 'search' | 'retiredAt'>): SoldOrders =>
  async function* (itemId) {
    const filters = {
      itemId,
      status: 'confirmed',
      since: await archive.retiredAt(itemId),
    } as const;
    let page: readonly ArchivedAcceptance[] = [];
    do {
      page = await archive.search({ ...filters, limit: PAGE_MAX, cursor: page.at(-1) });
      if (page.length > 0) yield page;
    } while (page.length === PAGE_MAX);
  };

/** One for each try to sell the order, which an operator may repeat without end. */
const EVENTS_MAX = 100;

/** The columns of an order. */
export interface OrderRow<Status> {
  readonly order_id: string;
  readonly request_id: string;
  readonly item_id: string;
  readonly user_id: string;
  readonly amount: number;
  readonly price_minor: string;
  readonly currency: string;
  readonly accepted_at: Date;
  readonly status: Status;
  readonly reason: string | null;
  readonly payment_id: string | null;
  readonly generation: string;
  readonly finished_at: Date | null;
  readonly refunded_minor: string;
  readonly restocked: string;
}

/** An order from its row. Ids and reasons were checked before they were archived. */
export function toOrder<Status extends ArchivedStatus>(row: OrderRow<Status>) {
  return {
    orderId: row.order_id,
    requestId: row.request_id as RequestId,
    itemId: row.item_id as ItemId,
    userId: row.user_id as UserId,
    amount: row.amount,
    priceMinor: Number(row.price_minor),
    currency: row.currency,
    acceptedAt: row.accepted_at.getTime(),
    status: row.status,
    reason: (row.reason ?? undefined) as OrderReason | undefined,
    paymentId: row.payment_id ?? undefined,
    generation: Number(row.generation),
    finishedAt: row.finished_at?.getTime(),
    refundedMinor: Number(row.refunded_minor),
    restocked: Number(row.restocked),
  };
}
