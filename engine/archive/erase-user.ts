import { sql } from 'kysely';
import type { UserId } from '../orders/order';
import type { ArchiveDatabase } from './database';

/** Written instead of a user_id. With `BUYER_AUTH=jwt` no token can have it. */
export const ERASED_USER = 'sub-erased';

export type Erasure =
  | {
      readonly kind: 'erased';
      /** Rows that were changed: 0 where all was erased before. */
      readonly orders: number;
      readonly deadLetters: number;
      readonly setAside: number;
    }
  /** Orders that are not over: an event of them would bring the id back. Nothing was changed. */
  | { readonly kind: 'unfinished'; readonly requestIds: readonly string[] };

/** Names of one answer. */
const UNFINISHED_MAX = 10;

/** Letters of one statement: their bytes are searched, about 1 KB of each. */
const LETTERS_PER_STATEMENT = 5_000;

/**
 * Takes a user_id out of the archive: orders stay, dead letters lose their bytes, and records that were set aside go. May be
 * repeated, and has to be after an answer that was lost. Throws when PostgreSQL does not answer.
 */
export async function eraseUser(database: ArchiveDatabase, userId: UserId): Promise<Erasure> {
  const unfinished = await database
    .selectFrom('order_states as s')
    .innerJoin('orders as o', 'o.order_id', 's.order_id')
    .select('s.request_id')
    .where('o.user_id', '=', userId)
    .where('s.status', '=', 'queued')
    .limit(UNFINISHED_MAX)
    .execute();
  if (unfinished.length > 0) {
    return { kind: 'unfinished', requestIds: unfinished.map(({ request_id: id }) => id) };
  }
  // As records have it. No id needs an escape in JSON.
  const bytes = Buffer.from(JSON.stringify(userId));
  const deadLetters = await eraseFromLetters(database, bytes);
  const { numDeletedRows } = await database
    .deleteFrom('set_aside')
    .where(sql<boolean>`position(${bytes}::bytea in value) > 0`)
    .executeTakeFirstOrThrow();
  // Last: by its orders a user is found again when the call is repeated.
  const { numUpdatedRows } = await database
    .updateTable('orders')
    .set({ user_id: ERASED_USER, updated_at: sql<Date>`now()` })
    .where('user_id', '=', userId)
    .executeTakeFirstOrThrow();
  const [orders, setAside] = [Number(numUpdatedRows), Number(numDeletedRows)];
  return { kind: 'erased', orders, deadLetters, setAside };
}

/** All letters are read: one that is no order names its buyer only in its bytes. */
async function eraseFromLetters(database: ArchiveDatabase, bytes: Buffer): Promise<number> {
  let erased = 0;
  let after = '';
  for (;;) {
    const ids = database
      .selectFrom('dead_letters')
      .select('letter_id')
      .where('letter_id', '>', after)
      .orderBy('letter_id')
      .limit(LETTERS_PER_STATEMENT);
    const { last } = await database
      .selectFrom(ids.as('ids'))
      .select(sql<string | null>`max(letter_id)`.as('last'))
      .executeTakeFirstOrThrow();
    if (last === null) return erased;
    const { numUpdatedRows } = await database
      .updateTable('dead_letters')
      .set({ value: Buffer.alloc(0) })
      .where('letter_id', '>', after)
      .where('letter_id', '<=', last)
      .where(sql<boolean>`position(${bytes}::bytea in value) > 0`)
      .executeTakeFirstOrThrow();
    erased += Number(numUpdatedRows);
    after = last;
  }
}
