import { sql, type Transaction } from 'kysely';
import { DatabaseError } from 'pg';
import { RETURN_STATUSES } from '../orders/sale-return';
import type { ArchiveDatabase, ArchiveTables } from './database';
import type { Changes } from './projection';

/** A partition. */
export interface Place {
  readonly topic: string;
  readonly partition: number;
}

/** Of a partition, as a key. */
export function nameOf({ topic, partition }: Place): string {
  return `${topic}:${partition}`;
}

/** A stretch of a partition. `from` is undefined where nothing of it was archived before. */
export interface Stretch extends Place {
  readonly from: bigint | undefined;
  /** The next offset behind it. */
  readonly to: bigint;
}

/** PostgreSQL does not accept a value of a record, in whatever order and how often it is sent. */
export class RefusedError extends Error {
  override readonly name = 'RefusedError';
}

export type ArchiveStore = ReturnType<typeof createArchiveStore>;

/** What the archiver writes. Its methods throw when PostgreSQL does not answer; what they did then is unknown. */
export function createArchiveStore(database: ArchiveDatabase) {
  return {
    /** The next offset to archive, by name of the partition. Absent where nothing was archived yet. */
    positions: async (): Promise<ReadonlyMap<string, bigint>> => {
      const rows = await database.selectFrom('log_positions').selectAll().execute();
      return new Map(rows.map((row) => [nameOf(row), BigInt(row.next_offset)]));
    },

    /**
     * Writes the changes of a stretch together with the position behind it, and returns how many rows were inserted or
     * updated. Undefined, and nothing is written, when the position is not the one before it: another archiver has gone
     * on, or this one has without learning of it. Throws a RefusedError when PostgreSQL does not accept a value.
     */
    write: async (stretch: Stretch, changes: Changes): Promise<RowCounts | undefined> => {
      try {
        return await database.transaction().execute(async (transaction) => {
          // First: an archiver that is superseded waits for the other one here, and not in the middle of the rows.
          if (!(await advance(transaction, stretch))) return undefined;
          return writeChanges(transaction, changes);
        });
      } catch (error) {
        if (!isRefusal(error)) throw error;
        throw new RefusedError(error.message, { cause: error });
      }
    },
  };
}

/** By table. */
export type RowCounts = Readonly<Record<string, number>>;

/**
 * Data exceptions, such as a NUL in a text, and exceeded limits, such as a text that is too long for an index. All else is
 * a fault of the database, of its schema or of this program, and no record's.
 */
const REFUSALS = /^(22|54)/;

export function isRefusal(error: unknown): error is DatabaseError {
  return error instanceof DatabaseError && REFUSALS.test(error.code ?? '');
}

/** Without a position. Returns how many rows were inserted or updated. */
export async function writeChanges(
  transaction: Transaction<ArchiveTables>,
  changes: Changes,
): Promise<RowCounts> {
  const written: Record<string, number> = {};
  for (const [table, statement] of Object.entries(statements(transaction, changes))) {
    if (changes[table as keyof Changes].length === 0) continue;
    const { numInsertedOrUpdatedRows } = await statement.executeTakeFirstOrThrow();
    written[table] = Number(numInsertedOrUpdatedRows);
  }
  await closeMarked(transaction, changes);
  return written;
}

/** Compare and set. */
async function advance(
  transaction: Transaction<ArchiveTables>,
  { topic, partition, from, to }: Stretch,
): Promise<boolean> {
  const next_offset = String(to);
  if (from === undefined) {
    const { numInsertedOrUpdatedRows } = await transaction
      .insertInto('log_positions')
      .values({ topic, partition, next_offset })
      .onConflict((conflict) => conflict.doNothing())
      .executeTakeFirstOrThrow();
    return numInsertedOrUpdatedRows === 1n;
  }
  const { numUpdatedRows } = await transaction
    .updateTable('log_positions')
    .set({ next_offset })
    .where('topic', '=', topic)
    .where('partition', '=', partition)
    .where('next_offset', '=', String(from))
    .executeTakeFirstOrThrow();
  return numUpdatedRows === 1n;
}

/** Letters that have a mark are open no more. Of letter and mark, the one that comes later closes it. */
async function closeMarked(
  transaction: Transaction<ArchiveTables>,
  { dead_letters: letters, dead_letter_marks: marks }: Changes,
): Promise<void> {
  const ids = [...letters, ...marks].map(({ letter_id }) => letter_id);
  if (ids.length === 0) return;
  await transaction
    .updateTable('dead_letters as l')
    .set({ is_open: false })
    .where(sql<boolean>`l.letter_id = any(${ids}::text[])`)
    .where('l.is_open', '=', true)
    .where(sql<boolean>`exists (select from dead_letter_marks m where m.letter_id = l.letter_id)`)
    .execute();
}

/** Of two statuses of a kind the later one counts. */
const RANKED = sql`${sql.val(Object.values(RETURN_STATUSES).flat())}::text[]`;

function returnsStatement(transaction: Transaction<ArchiveTables>, changes: Changes) {
  return transaction
    .insertInto('order_returns')
    .values(changes.order_returns)
    .onConflict((conflict) =>
      conflict
        .columns(['order_id', 'kind', 'id'])
        .doUpdateSet((row) => ({
          operation_id: row.ref('excluded.operation_id'),
          amount_minor: row.ref('excluded.amount_minor'),
          status: row.ref('excluded.status'),
          reason: row.ref('excluded.reason'),
          at: row.ref('excluded.at'),
        }))
        .where(
          sql<boolean>`array_position(${RANKED}, excluded.status) > array_position(${RANKED}, order_returns.status)`,
        ),
    );
}

/** The rules of `projection.ts`, for rows that are in the database. */
function statements(transaction: Transaction<ArchiveTables>, changes: Changes) {
  const isFirst = (table: 'dead_letters' | 'dead_letter_marks') =>
    sql<boolean>`(excluded.partition, excluded.record_offset) < (${sql.ref(`${table}.partition`)}, ${sql.ref(`${table}.record_offset`)})`;
  return {
    orders: transaction
      .insertInto('orders')
      .values(changes.orders)
      .onConflict((conflict) =>
        conflict
          .column('order_id')
          .doUpdateSet((row) => ({
            request_id: row.ref('excluded.request_id'),
            item_id: row.ref('excluded.item_id'),
            user_id: row.ref('excluded.user_id'),
            amount: row.ref('excluded.amount'),
            price_minor: row.ref('excluded.price_minor'),
            currency: row.ref('excluded.currency'),
            accepted_at: row.ref('excluded.accepted_at'),
            status: row.ref('excluded.status'),
            reason: row.ref('excluded.reason'),
            payment_id: row.ref('excluded.payment_id'),
            generation: row.ref('excluded.generation'),
            revision: row.ref('excluded.revision'),
            finished_at: row.ref('excluded.finished_at'),
            pay_within_ms: row.ref('excluded.pay_within_ms'),
            updated_at: sql<Date>`now()`,
            // It was tried again, so its entry was there.
            left_ledger_at: null,
          }))
          .whereRef('excluded.revision', '>', 'orders.revision'),
      ),
    order_events: transaction
      .insertInto('order_events')
      .values(changes.order_events)
      .onConflict((conflict) => conflict.doNothing()),
    order_returns: returnsStatement(transaction, changes),
    dead_letters: transaction
      .insertInto('dead_letters')
      .values(changes.dead_letters)
      .onConflict((conflict) =>
        conflict
          .column('letter_id')
          .doUpdateSet((row) => ({
            request_id: row.ref('excluded.request_id'),
            order_id: row.ref('excluded.order_id'),
            item_id: row.ref('excluded.item_id'),
            reason: row.ref('excluded.reason'),
            error: row.ref('excluded.error'),
            generation: row.ref('excluded.generation'),
            run_id: row.ref('excluded.run_id'),
            at: row.ref('excluded.at'),
            source_topic: row.ref('excluded.source_topic'),
            source_partition: row.ref('excluded.source_partition'),
            source_offset: row.ref('excluded.source_offset'),
            value: row.ref('excluded.value'),
            partition: row.ref('excluded.partition'),
            record_offset: row.ref('excluded.record_offset'),
          }))
          .where(isFirst('dead_letters')),
      ),
    dead_letter_marks: transaction
      .insertInto('dead_letter_marks')
      .values(changes.dead_letter_marks)
      .onConflict((conflict) =>
        conflict
          .columns(['letter_id', 'at', 'kind', 'by'])
          .doUpdateSet((row) => ({
            why: row.ref('excluded.why'),
            run_id: row.ref('excluded.run_id'),
            partition: row.ref('excluded.partition'),
            record_offset: row.ref('excluded.record_offset'),
          }))
          .where(isFirst('dead_letter_marks')),
      ),
    operator_actions: transaction
      .insertInto('operator_actions')
      .values(changes.operator_actions)
      .onConflict((conflict) =>
        conflict
          .column('action_id')
          .doUpdateSet((row) => ({
            at: row.ref('excluded.at'),
            outcome: row.ref('excluded.outcome'),
            detail: row.ref('excluded.detail'),
            before: row.ref('excluded.before'),
            after: row.ref('excluded.after'),
          }))
          .where('excluded.outcome', 'is not', null)
          .where('operator_actions.outcome', 'is', null),
      ),
    set_aside: transaction
      .insertInto('set_aside')
      .values(changes.set_aside)
      .onConflict((conflict) => conflict.doNothing()),
  } satisfies Record<keyof Changes, unknown>;
}
