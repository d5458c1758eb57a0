import type { RedisConnection } from '../../../platform/redis';
import type { ItemId } from '../../../engine/orders/order';
import { stockOf } from '../ground/items';
import { entriesOf } from '../../../engine/stock/stored-entry';

export interface Books {
  readonly redis: RedisConnection;
  readonly itemId: ItemId;
  readonly supply: number;
  /** request_ids that were answered with 202. */
  readonly accepted: readonly string[];
  /** Base URL of the payment simulator. */
  readonly payments: string;
  readonly priceMinor: number;
  readonly unitsPerUser?: number;
}

interface LedgerRow {
  readonly key: string;
  readonly status: string;
  readonly amount: number;
}

/** How many of a kind are told; one is enough to know that a promise is broken. */
const SHOWN_MAX = 5;

/**
 * Holds the ledger against the provider's own book, once nothing of the item is under way: what was promised to
 * buyers, what was sold, what was paid. Answers what is wrong, in words.
 */
export async function checkBooks(books: Books): Promise<string[]> {
  const { redis, itemId, supply, accepted, payments, unitsPerUser } = books;
  const stock = await stockOf(redis, itemId);
  const entries = await entriesOf(redis, itemId);
  const sold = [...entries].filter(([, { state }]) => state === 'sold');
  const soldUnits = sold.reduce((sum, [, { units }]) => sum + units, 0);
  const violations: string[] = [];
  const must = (holds: boolean, violation: string) => {
    if (!holds) violations.push(violation);
  };

  must(soldUnits <= supply, `${soldUnits} units are sold of ${supply}`);
  must(
    stock.sold === soldUnits,
    `the ledger counts ${stock.sold} sold units, its entries ${soldUnits}`,
  );
  must(
    stock.free + soldUnits === supply,
    `${stock.free} free and ${soldUnits} sold are not ${supply}`,
  );
  must(
    stock.supply === supply,
    `the ledger believes in a supply of ${stock.supply}, not ${supply}`,
  );

  const isFinal = (id: string) => ['sold', 'released'].includes(entries.get(id)?.state ?? 'lost');
  none(
    violations,
    'accepted orders have no outcome',
    accepted.filter((id) => !isFinal(id)),
  );

  const charges = (await (await fetch(`${payments}/ledger`)).json()) as LedgerRow[];
  const captured = new Map<string, LedgerRow[]>();
  for (const row of charges) {
    const requestId = row.key.slice(0, row.key.lastIndexOf(':'));
    if (row.status !== 'captured' || !entries.has(requestId)) continue;
    captured.set(requestId, [...(captured.get(requestId) ?? []), row]);
  }
  const wronglyPaid = [...entries].filter(([requestId, { state, units }]) => {
    const paid = captured.get(requestId) ?? [];
    if (state !== 'sold') return paid.length > 0;
    return paid.length !== 1 || paid[0]?.amount !== units * books.priceMinor;
  });
  none(
    violations,
    'orders are charged wrongly',
    wronglyPaid.map(([requestId]) => requestId),
  );

  if (unitsPerUser === undefined) return violations;
  const owned = new Map<string, number>();
  for (const [, { userId, units }] of sold) owned.set(userId, (owned.get(userId) ?? 0) + units);
  const greedy = [...owned].filter(([, units]) => units > unitsPerUser).map(([userId]) => userId);
  none(violations, `users own more than ${unitsPerUser} units`, greedy);
  return violations;
}

function none(violations: string[], what: string, ids: readonly string[]): void {
  if (ids.length === 0) return;
  violations.push(`${ids.length} ${what}, such as ${ids.slice(0, SHOWN_MAX).join(', ')}`);
}
