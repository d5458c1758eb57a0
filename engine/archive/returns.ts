import { sql, type Selectable } from 'kysely';
import type { SaleReturn } from '../orders/sale-return';
import type { ArchiveDatabase, ArchiveTables } from './database';

/** What the archive has of what happened after sales. */
export interface ArchivedReturns {
  returnsOf(orderId: string): Promise<SaleReturn[]>;
  /** By how much an operation has changed the stock of an item; undefined where it has not. */
  unitsOf(itemId: string, operation: string): Promise<number | undefined>;
}

/** Throws when PostgreSQL does not answer in time. */
export function createArchivedReturns(database: ArchiveDatabase): ArchivedReturns {
  return {
    returnsOf: (orderId) => readReturns(database, orderId),
    unitsOf: async (itemId, operation) => {
      const { rows } = await sql<{ units: string | null }>`
        select units from stock_changes where item_id = ${itemId} and operation = ${operation} limit 1
      `.execute(database);
      return rows[0] && Number(rows[0].units);
    },
  };
}

/** The oldest first. */
export async function readReturns(
  database: ArchiveDatabase,
  orderId: string,
): Promise<SaleReturn[]> {
  const rows = await database
    .selectFrom('order_returns')
    .selectAll()
    .where('order_id', '=', orderId)
    .orderBy('at')
    .orderBy('id')
    .execute();
  return rows.map(toReturn);
}

function toReturn(row: Selectable<ArchiveTables['order_returns']>): SaleReturn {
  return {
    kind: row.kind,
    id: row.id,
    amountMinor: Number(row.amount_minor),
    status: row.status,
    at: row.at.getTime(),
    ...(row.operation_id !== null && { operationId: row.operation_id }),
    ...(row.reason !== null && { reason: row.reason }),
  };
}
