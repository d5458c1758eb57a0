import { sql, type Selectable } from 'kysely';
import type { ItemId } from '../orders/order';
import { parseAdjustment, type Adjustment, type StoredAdjustment } from '../stock/adjustments';
import { adjustmentsKey } from '../stock/keys';
import type { SaleFields } from '../stock/stock-operations';
import type { ArchiveDatabase, ArchiveTables } from './database';
import { setAsideRow } from './projection';
import { isRefusal } from './store';

/** What was written, and what was set aside because it cannot be archived. */
export interface WrittenChanges {
  readonly rows: number;
  readonly setAside: readonly { readonly id: string; readonly problem: string }[];
}

/**
 * Writes entries of an item's stream of adjustments, some hundreds at most. May be repeated, and by two at once: what is
 * there stays. One that cannot be archived is set aside. Throws when PostgreSQL does not answer.
 */
export async function writeStockChanges(
  database: ArchiveDatabase,
  itemId: ItemId,
  entries: readonly StoredAdjustment[],
): Promise<WrittenChanges> {
  const [first] = entries;
  if (!first) return { rows: 0, setAside: [] };
  const parsed = entries.map((entry) => ({ entry, adjustment: parseAdjustment(entry) }));
  const good = parsed.flatMap(({ adjustment }) =>
    'problem' in adjustment ? [] : [toRow(itemId, adjustment)],
  );
  const bad = parsed.flatMap(({ entry, adjustment }) =>
    'problem' in adjustment ? [{ entry, problem: adjustment.problem }] : [],
  );
  try {
    return await write(database, itemId, good, bad);
  } catch (error) {
    if (!isRefusal(error)) throw error;
    if (entries.length === 1) {
      return write(database, itemId, [], [{ entry: first, problem: error.message }]);
    }
    // Only the entry that PostgreSQL refuses is set aside.
    const middle = Math.ceil(entries.length / 2);
    const halves = [entries.slice(0, middle), entries.slice(middle)];
    const written: WrittenChanges[] = [];
    for (const half of halves) written.push(await writeStockChanges(database, itemId, half));
    return {
      rows: written.reduce((sum, { rows }) => sum + rows, 0),
      setAside: written.flatMap(({ setAside }) => setAside),
    };
  }
}

/** The stock and the sale of an item after a change. */
export interface ArchivedStock {
  readonly at: number;
  readonly supply: number;
  /** Absent where it could not be read. */
  readonly sale?: SaleFields;
}

/** What the newest change has left of each item, of those that were open. An item that is retired has nothing. */
export async function newestStock(
  database: ArchiveDatabase,
  itemIds: readonly ItemId[],
): Promise<ReadonlyMap<ItemId, ArchivedStock>> {
  const { rows } = await sql<
    Pick<Selectable<ArchiveTables['stock_changes']>, 'item_id' | 'at' | 'supply' | 'sale'>
  >`
    select item_id, at, supply, sale
    from unnest(${[...itemIds]}::text[]) as wanted
    cross join lateral (
      select * from stock_changes
      where item_id = wanted and is_open
      order by at desc, seq desc limit 1
    ) newest
    where kind <> 'retired'
  `.execute(database);
  return new Map(
    rows.map(({ item_id, at, supply, sale }) => [
      item_id as ItemId,
      { at: at.getTime(), supply: Number(supply), ...(sale && { sale }) },
    ]),
  );
}

function write(
  database: ArchiveDatabase,
  itemId: ItemId,
  rows: readonly ReturnType<typeof toRow>[],
  bad: readonly { readonly entry: StoredAdjustment; readonly problem: string }[],
): Promise<WrittenChanges> {
  return database.transaction().execute(async (transaction) => {
    let written = 0;
    if (rows.length > 0) {
      const { numInsertedOrUpdatedRows } = await transaction
        .insertInto('stock_changes')
        .values(rows)
        .onConflict((conflict) => conflict.doNothing())
        .executeTakeFirstOrThrow();
      written = Number(numInsertedOrUpdatedRows);
    }
    if (bad.length > 0) {
      await transaction
        .insertInto('set_aside')
        .values(bad.map(({ entry, problem }) => setAsideRow(asRecord(itemId, entry), problem)))
        .onConflict((conflict) => conflict.doNothing())
        .execute();
    }
    return { rows: written, setAside: bad.map(({ entry: [id], problem }) => ({ id, problem })) };
  });
}

function toRow(itemId: ItemId, { id, kind, isOpen, sale, ...change }: Adjustment) {
  return {
    item_id: itemId,
    at: new Date(id.at).toISOString(),
    seq: id.seq,
    kind,
    units: change.units ?? null,
    free: change.free,
    supply: change.supply,
    is_open: isOpen,
    sale: sale ? JSON.stringify(sale) : null,
    by: change.by ?? null,
    why: change.why ?? null,
    operation: change.operation ?? null,
    order_id: change.order ?? null,
  };
}

/** An entry of a stream among records that were set aside: its key is the topic, and its id partition and offset. */
function asRecord(itemId: ItemId, [id, fields]: StoredAdjustment) {
  const [at = '0', seq = '0'] = id.split('-');
  const smaller = (text: string, max: bigint) => (BigInt(text) < max ? BigInt(text) : max);
  return {
    topic: adjustmentsKey(itemId),
    partition: Number(smaller(seq, 2n ** 31n - 1n)),
    offset: String(smaller(at, 2n ** 63n - 1n)),
    key: Buffer.from(id),
    value: Buffer.from(JSON.stringify(fields)),
    headers: {},
  };
}
