import { sql, type SelectQueryBuilder } from 'kysely';
import type { LetterCount, LetterFilter } from '../dead-letters/letters';
import type { StoredDeadLetter } from '../kafka/dead-letters';
import type { MarkKind } from '../orders/dead-letter';
import type { FailureReason } from '../orders/order';
import { createArchive } from './archive';
import type { ArchiveDatabase, ArchiveTables } from './database';

/** Where a page of letters ends. */
export interface LetterCursor {
  /** Milliseconds since the epoch; 0: a letter without a time. */
  readonly at: number;
  readonly id: string;
}

export interface LetterPage {
  readonly order: 'oldest first' | 'newest first';
  readonly limit: number;
  /** Absent: from the beginning on. */
  readonly after?: LetterCursor | undefined;
}

/** Selects letters by the filter, without those that the reader has in memory. */
export interface LetterSelection {
  readonly filter: LetterFilter;
  readonly except: readonly string[];
}

/** Groups of one answer: an error is a text, and there may be as many of them as letters. */
export const GROUPS_MAX = 1_000;

export type ArchivedLetters = ReturnType<typeof createArchivedLetters>;

/** The archived dead letters with their marks. All methods throw when PostgreSQL does not answer in time. */
export function createArchivedLetters(database: ArchiveDatabase) {
  const matching = ({ filter, except }: LetterSelection) => {
    const { reason, item, since, until, all } = filter;
    let query = database.selectFrom('dead_letters as l');
    if (reason !== undefined) query = query.where('l.reason', '=', reason);
    if (item !== undefined) query = query.where('l.item_id', '=', item);
    if (since !== undefined) query = query.where('l.at', '>=', new Date(since));
    if (until !== undefined) query = query.where('l.at', '<=', new Date(until));
    if (since !== undefined || until !== undefined) {
      query = query.where('l.at', '<>', new Date(0));
    }
    if (all !== true) {
      query = query.where('l.is_open', '=', true).where(
        // See the migration: `is_open` may be true where it should not, and is never false where it should be true.
        sql<boolean>`not exists (select from dead_letter_marks m where m.letter_id = l.letter_id)`,
      );
    }
    if (except.length > 0) query = query.where(sql<boolean>`l.letter_id <> all(${except}::text[])`);
    return query;
  };

  return {
    /** Letters with these ids, and all letters of orders with these request_ids. */
    of: async (ids: readonly string[]): Promise<StoredDeadLetter[]> => {
      if (ids.length === 0) return [];
      const query = database
        .selectFrom('dead_letters as l')
        .where(
          sql<boolean>`(l.letter_id = any(${ids}::text[]) or l.request_id = any(${ids}::text[]))`,
        );
      return (await whole(query).execute()).map(toLetter);
    },

    page: async (
      selection: LetterSelection,
      { order, limit, after }: LetterPage,
    ): Promise<StoredDeadLetter[]> => {
      const direction = order === 'oldest first' ? 'asc' : 'desc';
      let query = matching(selection);
      if (after) {
        const key = sql`(${new Date(after.at)}, ${after.id})`;
        query = query.where(
          order === 'oldest first'
            ? sql<boolean>`(l.at, l.letter_id) > ${key}`
            : sql<boolean>`(l.at, l.letter_id) < ${key}`,
        );
      }
      const rows = await whole(query)
        .orderBy('l.at', direction)
        .orderBy('l.letter_id', direction)
        .limit(limit)
        .execute();
      return rows.map(toLetter);
    },

    /** How many letters match, and of how many orders those are that failed for one of `reasons`. */
    totals: async (selection: LetterSelection, reasons: readonly FailureReason[]) => {
      const { letters, orders } = await matching(selection)
        .select([
          sql<string>`count(*)`.as('letters'),
          sql<string>`count(distinct l.request_id) filter (where l.reason = any(${reasons}::text[]))`.as(
            'orders',
          ),
        ])
        .executeTakeFirstOrThrow();
      return { letters: Number(letters), orders: Number(orders) };
    },

    /** The letters that match by what failed and by item, the largest groups of each. */
    groups: async (selection: LetterSelection) => {
      const failures = await matching(selection)
        .select(['l.reason', 'l.error', ...COUNTS])
        .groupBy(['l.reason', 'l.error'])
        .orderBy('count', 'desc')
        .limit(GROUPS_MAX)
        .execute();
      const items = await matching(selection)
        .select(['l.item_id', ...COUNTS])
        .groupBy('l.item_id')
        .orderBy('count', 'desc')
        .limit(GROUPS_MAX)
        .execute();
      return {
        by_failure: failures.map(({ reason, error, ...rest }) => ({
          reason: reason as FailureReason,
          error,
          ...toCount(rest),
        })),
        by_item: items.map(({ item_id, ...rest }) => ({ item_id, ...toCount(rest) })),
      };
    },

    positions: createArchive(database).positions,

    /** How many records of a topic could not be archived. */
    setAside: async (topic: string): Promise<number> => {
      const { records } = await database
        .selectFrom('set_aside')
        .select(sql<string>`count(*)`.as('records'))
        .where('topic', '=', topic)
        .executeTakeFirstOrThrow();
      return Number(records);
    },
  };
}

const COUNTS = [
  sql<string>`count(*)`.as('count'),
  sql<Date | null>`min(l.at) filter (where l.at <> 'epoch')`.as('first'),
  sql<Date | null>`max(l.at) filter (where l.at <> 'epoch')`.as('last'),
] as const;

type Letters = { l: ArchiveTables['dead_letters'] };

/** All columns, and the marks in the order in which they were appended: they are in the letter's partition. */
function whole<O>(query: SelectQueryBuilder<ArchiveTables & Letters, 'l', O>) {
  return query.selectAll('l').select(
    sql<readonly MarkRow[] | null>`(
      select json_agg(
        json_build_array(m.kind, m.by, m.why, round(extract(epoch from m.at) * 1000), m.run_id)
        order by m.partition, m.record_offset
      )
      from dead_letter_marks m where m.letter_id = l.letter_id
    )`.as('marks'),
  );
}

type MarkRow = readonly [kind: MarkKind, by: string, why: string, at: number, runId: string | null];

interface LetterRow {
  readonly letter_id: string;
  readonly request_id: string | null;
  readonly order_id: string | null;
  readonly item_id: string | null;
  readonly reason: string;
  readonly error: string;
  readonly generation: string;
  readonly run_id: string | null;
  readonly at: Date;
  readonly source_topic: string | null;
  readonly source_partition: number | null;
  readonly source_offset: string | null;
  readonly value: Buffer;
  readonly partition: number;
  readonly record_offset: string;
  readonly marks: readonly MarkRow[] | null;
}

function toLetter(row: LetterRow): StoredDeadLetter {
  const { source_topic: topic, source_partition: partition, source_offset: offset } = row;
  // Of an order that is older than order ids the archive has a key of its own, with an @.
  const isOrderId = row.order_id !== null && !row.order_id.includes('@');
  return {
    id: row.letter_id,
    reason: row.reason as FailureReason,
    error: row.error,
    generation: Number(row.generation),
    at: row.at.getTime(),
    value: row.value,
    partition: row.partition,
    offset: row.record_offset,
    ...(row.request_id !== null && { requestId: row.request_id }),
    ...(isOrderId && { orderId: row.order_id }),
    ...(row.item_id !== null && { itemId: row.item_id }),
    ...(row.run_id !== null && { runId: row.run_id }),
    ...(topic !== null &&
      partition !== null &&
      offset !== null && { source: { topic, partition, offset } }),
    ...(row.marks && {
      marks: row.marks.map(([kind, by, why, at, runId]) => ({
        kind,
        letterId: row.letter_id,
        by,
        why,
        at,
        ...(runId !== null && { runId }),
      })),
    }),
  };
}

function toCount(row: {
  readonly count: string;
  readonly first: Date | null;
  readonly last: Date | null;
}): LetterCount {
  const { count, first, last } = row;
  return {
    count: Number(count),
    first: first?.toISOString() ?? null,
    last: last?.toISOString() ?? null,
  };
}
