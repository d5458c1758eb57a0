import { Kysely, PostgresDialect, type ColumnType, type PostgresPoolClient } from 'kysely';
import { DatabaseError, type Pool, type PoolClient } from 'pg';
import type { EventStatus } from '../orders/order-event';
import type { SaleReturn } from '../orders/sale-return';
import type { AdjustmentKind } from '../stock/adjustments';

/** Written as an ISO 8601 text. */
type Time = ColumnType<Date, string, string>;
/** Read as a text: PostgreSQL's bigint is larger than a number. */
type BigInteger = ColumnType<string, number | string, number | string>;
type Json = ColumnType<unknown, string | null, string | null>;
/** What the database fills in, or the statement that updates a row. */
type Stamp = ColumnType<Date, never, Date>;

/** The insert leaves it out. */
type LeftAt = ColumnType<Date | null, undefined, null>;

interface OrderColumns {
  order_id: string;
  request_id: string;
  item_id: string;
  user_id: string;
  amount: number;
  price_minor: BigInteger;
  currency: string;
  accepted_at: Time;
  reason: string | null;
  payment_id: string | null;
  generation: BigInteger;
  revision: BigInteger;
  finished_at: ColumnType<Date | null, string | null, string | null>;
  archived_at: Stamp;
  updated_at: Stamp;
}

interface LetterColumns {
  letter_id: string;
  request_id: string | null;
  order_id: string | null;
  item_id: string | null;
  reason: string;
  error: string;
  generation: BigInteger;
  run_id: string | null;
  at: Time;
  source_topic: string | null;
  source_partition: number | null;
  source_offset: string | null;
  value: Buffer;
  partition: number;
  record_offset: BigInteger;
  /** True where no mark is known; readers look for marks as well. */
  is_open: ColumnType<boolean, never, boolean>;
}

/** The tables that records are projected to, and the view that readers of orders use. */
export interface ArchiveTables {
  orders: OrderColumns & {
    status: 'queued' | EventStatus;
    left_ledger_at: LeftAt;
    /** Of an order without an end. */
    pay_within_ms: ColumnType<string | null, number | null, number | null>;
  };
  order_events: {
    order_id: string;
    revision: BigInteger;
    status: EventStatus;
    reason: string | null;
    payment_id: string | null;
    generation: BigInteger;
    at: Time;
  };
  dead_letters: LetterColumns;
  dead_letter_marks: {
    letter_id: string;
    at: Time;
    kind: string;
    by: string;
    why: string;
    run_id: string | null;
    partition: number;
    record_offset: BigInteger;
  };
  operator_actions: {
    action_id: string;
    at: Time;
    action: string;
    item_id: string | null;
    by: string;
    on_behalf_of: string | null;
    role: string | null;
    credential: string | null;
    door: string | null;
    http_request_id: string | null;
    why: string | null;
    request: Json;
    outcome: string | null;
    detail: string | null;
    before: Json;
    after: Json;
  };
  set_aside: {
    topic: string;
    partition: number;
    record_offset: BigInteger;
    problem: string;
    key: Buffer | null;
    value: Buffer | null;
    /** JSON, with values in base64; null: of a version that did not keep them. */
    headers: Buffer | null;
    set_aside_at: Stamp;
  };
  stock_changes: {
    item_id: string;
    at: Time;
    seq: BigInteger;
    kind: AdjustmentKind;
    units: ColumnType<string | null, number | null, never>;
    free: BigInteger;
    supply: BigInteger;
    is_open: boolean;
    sale: ColumnType<Readonly<Record<string, string>> | null, string | null, never>;
    by: string | null;
    why: string | null;
    operation: string | null;
    order_id: string | null;
    archived_at: Stamp;
  };
  order_returns: {
    order_id: string;
    kind: SaleReturn['kind'];
    id: string;
    operation_id: string | null;
    amount_minor: BigInteger;
    status: SaleReturn['status'];
    reason: string | null;
    at: Time;
  };
  refusals: { item_id: string; at: Time; reason: string; gateway: string; requests: BigInteger };
  log_positions: { topic: string; partition: number; next_offset: BigInteger };
  /** `repeated`: the acceptance of an order that has another order id. */
  order_states: OrderColumns & {
    status: 'queued' | EventStatus | 'repeated';
    refunded_minor: string;
    restocked: string;
  };
}

export type ArchiveDatabase = Kysely<ArchiveTables>;

/** Typed queries on a pool, which its owner closes. */
export function openArchive(pool: Pool): ArchiveDatabase {
  return new Kysely<ArchiveTables>({
    dialect: new PostgresDialect({
      pool: {
        connect: async () => guard(await pool.connect()),
        end: () => Promise.resolve(),
      },
    }),
  });
}

/**
 * A connection on which a query had no answer is in an unknown state: the server may go on with the query, and with its
 * transaction, whenever it can. It is not used again, not even to roll back.
 */
function guard(client: PoolClient): PostgresPoolClient {
  let failure: Error | undefined;
  const fail = (error: Error) => {
    failure ??= error;
  };
  // The pool listens only while nobody uses the connection, and an error without a listener would end the process.
  client.on('error', fail);
  const guarded = {
    query: async (sql: string, parameters: readonly unknown[]) => {
      if (failure) throw failure;
      try {
        return await client.query(sql, [...parameters]);
      } catch (error) {
        if (!(error instanceof DatabaseError)) fail(error as Error);
        throw error;
      }
    },
    release: (discard?: boolean) => {
      client.off('error', fail);
      client.release(failure ?? discard);
    },
  };
  // Its type knows cursors as well, which kysely uses only where it is given a class of them.
  return guarded as unknown as PostgresPoolClient;
}
