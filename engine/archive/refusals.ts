import type { ArchiveDatabase } from './database';

/** How many purchases of an item a gateway process refused for a reason in a second. */
export interface RefusalSum {
  readonly itemId: string;
  readonly reason: string;
  /** Seconds since the epoch. */
  readonly second: number;
  readonly requests: number;
}

/** Rows of one statement: PostgreSQL takes 65,535 parameters. */
const ROWS_MAX = 5_000;

/** Writes sums of complete seconds. May be repeated: a sum replaces what `gateway` has written of the same second. */
export async function writeRefusals(
  database: ArchiveDatabase,
  gateway: string,
  sums: readonly RefusalSum[],
): Promise<void> {
  for (let from = 0; from < sums.length; from += ROWS_MAX) {
    const rows = sums.slice(from, from + ROWS_MAX).map(({ itemId, reason, second, requests }) => ({
      item_id: itemId,
      at: new Date(second * 1_000).toISOString(),
      reason,
      gateway,
      requests,
    }));
    await database
      .insertInto('refusals')
      .values(rows)
      .onConflict((conflict) =>
        conflict
          .columns(['item_id', 'at', 'reason', 'gateway'])
          .doUpdateSet((expression) => ({ requests: expression.ref('excluded.requests') })),
      )
      .execute();
  }
}
