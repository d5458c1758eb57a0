import { sql } from 'kysely';
import type { ItemId } from '../orders/order';
import type { ArchiveDatabase } from './database';

/** How the sale of an item went. Times are ISO 8601, money is in minor units. */
export interface SaleReport {
  readonly item_id: string;
  readonly accepted: {
    readonly orders: number;
    readonly units: number;
    readonly first_at: string | null;
    readonly last_at: string | null;
  };
  readonly confirmed: {
    readonly orders: number;
    readonly units: number;
    readonly buyers: number;
    /** One for each currency and price. */
    readonly revenue: readonly {
      readonly currency: string;
      readonly price_minor: number;
      readonly units: number;
      readonly total_minor: number;
    }[];
    /** When the last unit was sold, and how long after the first acceptance. */
    readonly last_at: string | null;
    readonly seconds_to_last_unit: number | null;
  };
  /** After the sale, without refunds that have failed. */
  readonly refunded: {
    readonly orders: number;
    /** That are on sale again; they count as sold, too. */
    readonly units_restocked: number;
    readonly money: readonly { readonly currency: string; readonly total_minor: number }[];
  };
  readonly failed: {
    readonly orders: number;
    readonly by_reason: Readonly<Record<string, number>>;
  };
  readonly cancelled: { readonly orders: number };
  /** Purchases that never became orders, as far as gateways with the archive have counted them. */
  readonly refused: {
    readonly requests: number;
    readonly by_reason: Readonly<Record<string, number>>;
  };
  /** Accepted, and not known to be over. */
  readonly open: { readonly orders: number };
  /** From the acceptance of an order to its end, in ms; null without an order that is over. */
  readonly to_outcome_ms: Readonly<Record<'p50' | 'p90' | 'p99' | 'max', number>> | null;
  readonly curve: {
    readonly seconds_per_point: number;
    readonly points: readonly CurvePoint[];
  };
}

/** What happened from `at` until the next point. Points at which nothing happened are left out. */
export interface CurvePoint {
  readonly at: string;
  readonly accepted_units: number;
  readonly confirmed_units: number;
  readonly ended_without_a_sale: number;
  readonly refused_requests: number;
}

/** A longer sale has wider points. */
const POINTS_MAX = 600;

/** The report on an item from its first order in the archive to its last one; undefined where there is none. */
export async function reportSale(
  database: ArchiveDatabase,
  itemId: ItemId,
): Promise<SaleReport | undefined> {
  // Both see the same rows.
  return database
    .transaction()
    .setIsolationLevel('repeatable read')
    .setAccessMode('read only')
    .execute(async (snapshot) => {
      const totals = await readTotals(snapshot, itemId);
      if (totals === undefined || totals.orders === 0) return undefined;
      const revenue = await readRevenue(snapshot, itemId);
      const reasons = await readReasons(snapshot, itemId);
      const refusals = await readRefusals(snapshot, itemId);
      const seconds = Math.max(1, Math.ceil(totals.span_seconds / POINTS_MAX));
      const points = await readCurve(snapshot, itemId, seconds);
      return {
        item_id: itemId,
        accepted: {
          orders: totals.orders,
          units: totals.units,
          first_at: iso(totals.first_at),
          last_at: iso(totals.last_at),
        },
        confirmed: {
          orders: totals.confirmed,
          units: totals.confirmed_units,
          buyers: totals.buyers,
          revenue,
          last_at: iso(totals.sold_at),
          seconds_to_last_unit: totals.seconds_to_last_unit,
        },
        refunded: await readRefunded(snapshot, itemId),
        failed: { orders: totals.failed, by_reason: reasons },
        cancelled: { orders: totals.cancelled },
        refused: {
          requests: Object.values(refusals).reduce((sum, requests) => sum + requests, 0),
          by_reason: refusals,
        },
        open: { orders: totals.open },
        to_outcome_ms: totals.ms && {
          p50: Math.round(totals.ms[0]),
          p90: Math.round(totals.ms[1]),
          p99: Math.round(totals.ms[2]),
          max: Math.round(totals.ms[3]),
        },
        curve: { seconds_per_point: seconds, points },
      };
    });
}

const iso = (time: Date | null) => time?.toISOString() ?? null;

/** The orders of an item, each once. */
const ordersOf = (itemId: ItemId) => sql`(
  select * from order_states where item_id = ${itemId} and status <> 'repeated'
) o`;

interface Totals {
  readonly orders: number;
  readonly units: number;
  readonly confirmed: number;
  readonly confirmed_units: number;
  readonly buyers: number;
  readonly failed: number;
  readonly cancelled: number;
  readonly open: number;
  readonly first_at: Date | null;
  readonly last_at: Date | null;
  readonly sold_at: Date | null;
  readonly seconds_to_last_unit: number | null;
  readonly span_seconds: number;
  readonly ms: readonly [number, number, number, number] | null;
}

async function readTotals(database: ArchiveDatabase, itemId: ItemId): Promise<Totals | undefined> {
  const { rows } = await sql<Totals>`
    select
      count(*)::float8 as orders,
      coalesce(sum(amount), 0)::float8 as units,
      count(*) filter (where status = 'confirmed')::float8 as confirmed,
      coalesce(sum(amount) filter (where status = 'confirmed'), 0)::float8 as confirmed_units,
      count(distinct user_id) filter (where status = 'confirmed')::float8 as buyers,
      count(*) filter (where status = 'failed')::float8 as failed,
      count(*) filter (where status = 'cancelled')::float8 as cancelled,
      count(*) filter (where status = 'queued')::float8 as open,
      min(accepted_at) as first_at,
      max(accepted_at) as last_at,
      max(finished_at) filter (where status = 'confirmed') as sold_at,
      extract(epoch from max(finished_at) filter (where status = 'confirmed') - min(accepted_at))::float8
        as seconds_to_last_unit,
      coalesce(extract(epoch from greatest(max(finished_at), max(accepted_at)) - min(accepted_at)), 0)::float8
        as span_seconds,
      percentile_cont(array[0.5, 0.9, 0.99, 1.0]) within group (
        order by extract(epoch from finished_at - accepted_at)::float8 * 1000
      ) as ms
    from ${ordersOf(itemId)}
  `.execute(database);
  return rows[0];
}

async function readRevenue(database: ArchiveDatabase, itemId: ItemId) {
  const { rows } = await sql<SaleReport['confirmed']['revenue'][number]>`
    select currency, price_minor::float8 as price_minor, sum(amount)::float8 as units,
      sum(amount * price_minor)::float8 as total_minor
    from ${ordersOf(itemId)} where status = 'confirmed'
    group by currency, price_minor order by currency, price_minor
  `.execute(database);
  return rows;
}

async function readRefunded(
  database: ArchiveDatabase,
  itemId: ItemId,
): Promise<SaleReport['refunded']> {
  const { rows } = await sql<{ currency: string; total: number; orders: number }>`
    select o.currency, sum(r.amount_minor)::float8 as total, count(distinct o.order_id)::float8 as orders
    from order_returns r join orders o on o.order_id = r.order_id
    where o.item_id = ${itemId} and r.kind = 'refund' and r.status <> 'failed'
    group by o.currency order by o.currency
  `.execute(database);
  const { rows: restocked } = await sql<{ units: number }>`
    select coalesce(sum(units), 0)::float8 as units from stock_changes
    where item_id = ${itemId} and order_id is not null
  `.execute(database);
  return {
    orders: rows.reduce((sum, { orders }) => sum + orders, 0),
    units_restocked: restocked[0]?.units ?? 0,
    money: rows.map(({ currency, total }) => ({ currency, total_minor: total })),
  };
}

async function readReasons(database: ArchiveDatabase, itemId: ItemId) {
  const { rows } = await sql<{ reason: string; orders: number }>`
    select coalesce(reason, 'unknown') as reason, count(*)::float8 as orders
    from ${ordersOf(itemId)} where status = 'failed'
    group by 1 order by 2 desc, 1
  `.execute(database);
  return Object.fromEntries(rows.map(({ reason, orders }) => [reason, orders]));
}

async function readRefusals(database: ArchiveDatabase, itemId: ItemId) {
  const { rows } = await sql<{ reason: string; requests: number }>`
    select reason, sum(requests)::float8 as requests from refusals where item_id = ${itemId}
    group by 1 order by 2 desc, 1
  `.execute(database);
  return Object.fromEntries(rows.map(({ reason, requests }) => [reason, requests]));
}

async function readCurve(
  database: ArchiveDatabase,
  itemId: ItemId,
  seconds: number,
): Promise<CurvePoint[]> {
  const { rows } = await sql<Omit<CurvePoint, 'at'> & { readonly point: number }>`
    select floor(extract(epoch from at) / ${seconds})::float8 * ${seconds} as point,
      sum(accepted)::float8 as accepted_units,
      sum(confirmed)::float8 as confirmed_units,
      sum(ended)::float8 as ended_without_a_sale,
      sum(refused)::float8 as refused_requests
    from (
      select accepted_at as at, amount as accepted, 0 as confirmed, 0 as ended, 0 as refused
      from ${ordersOf(itemId)}
      union all
      select finished_at, 0,
        case when status = 'confirmed' then amount else 0 end,
        case when status = 'confirmed' then 0 else 1 end,
        0
      from ${ordersOf(itemId)} where finished_at is not null
      union all
      select at, 0, 0, 0, requests from refusals where item_id = ${itemId}
    ) changes
    group by 1 order by 1
  `.execute(database);
  return rows.map(({ point, ...sums }) => ({ at: new Date(point * 1_000).toISOString(), ...sums }));
}
