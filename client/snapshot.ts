import { setTimeout as sleep } from 'node:timers/promises';
import { Type, type Static } from '@sinclair/typebox';
import type { LedgerEntry } from '../engine/orders/ledger';
import type { ItemId } from '../engine/orders/order';
import { createStockLedger } from '../engine/stock/stock-ledger';
import { entriesOf } from '../engine/stock/stored-entry';
import type { RedisConnection } from '../platform/redis';
import { describeError, UserError } from '../platform/user-error';
import { createHttpClient, parseJson } from './http-client';
import type { StockCounts } from '../engine/orders/sale';

/** An item's ledger as it stands. */
export interface ItemSnapshot {
  readonly counts: StockCounts;
  /** Every order of the item, by request_id. */
  readonly entries: ReadonlyMap<string, LedgerEntry>;
}

/** Reads an item's ledger. The counts are read before the entries: an order may move between the two reads. */
export async function readSnapshot(redis: RedisConnection, itemId: ItemId): Promise<ItemSnapshot> {
  const item = await createStockLedger(redis).item(itemId);
  if (!item) throw new Error(`The ledger does not know the item ${itemId}`);
  return { counts: item.counts, entries: await entriesOf(redis, itemId) };
}

/** What is still under way in an item's ledger; undefined when nothing is, so that every accepted order is final. */
export function underWay({ counts, entries }: ItemSnapshot): string | undefined {
  const { held, queued, reserved } = counts;
  if (held + queued + reserved > 0) {
    return `units held ${held}, queued ${queued}, reserved ${reserved}`;
  }
  const unresolved = [...entries]
    .filter(([, { unresolvedCharges }]) => unresolvedCharges.length > 0)
    .map(([id]) => id);
  if (unresolved.length === 0) return undefined;
  return `unresolved charges of ${unresolved.length} orders: ${unresolved.slice(0, 3).join(', ')}`;
}

const POLL_MS = 200;

/**
 * Looks until `look` finds nothing under way. A look that throws counts as under way. Throws what is still under way after
 * `withinMs`, or when the same was found for `stuckMs`; and the signal's reason when it is aborted.
 */
export async function waitUntilIdle(
  look: () => Promise<string | undefined>,
  bounds: {
    readonly withinMs: number;
    readonly stuckMs?: number;
    readonly pollMs?: number;
    readonly signal?: AbortSignal;
  },
): Promise<void> {
  const { withinMs, stuckMs = Infinity, pollMs = POLL_MS, signal } = bounds;
  const deadline = performance.now() + withinMs;
  let last: string | undefined;
  let movedAt = performance.now();
  for (;;) {
    signal?.throwIfAborted();
    const found = await look().catch(describeError);
    if (found === undefined) return;
    const now = performance.now();
    if (found !== last) movedAt = now;
    last = found;
    if (now - movedAt >= stuckMs) {
      throw new Error(`not idle, and unchanged for ${stuckMs / 1000} s: ${found}`);
    }
    if (now >= deadline) throw new Error(`not idle within ${withinMs / 1000} s: ${found}`);
    await sleep(pollMs, undefined, signal && { signal });
  }
}

/** What the payment simulator knows of one key. `amount` is in minor units; there is a payment id once money was taken. */
const Charge = Type.Object({
  key: Type.String(),
  status: Type.String(),
  amount: Type.Union([Type.Number(), Type.Null()]),
  currency: Type.Union([Type.String(), Type.Null()]),
  payment_id: Type.Optional(Type.String()),
  refunded: Type.Optional(Type.Number()),
});
export type Charge = Static<typeof Charge>;

/** The simulator's charges whose key begins with `keyPrefix`. Throws when no simulator answers at this URL. */
export async function readCharges(url: string, keyPrefix = ''): Promise<readonly Charge[]> {
  const client = createHttpClient(url);
  try {
    const { status, text } = await client.send('GET', '/ledger');
    if (status !== 200) throw new Error(`it answers ${status}`);
    const charges = parseJson(Type.Array(Charge), text);
    return charges.filter(({ key }) => key.startsWith(keyPrefix));
  } catch (cause) {
    throw new UserError(
      `Cannot read the payment simulator's charges at ${url}/ledger (${describeError(cause)}).`,
      { cause },
    );
  } finally {
    client.close();
  }
}
