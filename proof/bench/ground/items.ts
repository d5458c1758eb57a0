import { randomBytes } from 'node:crypto';
import type { RedisConnection } from '../../../platform/redis';
import type { StockCounts } from '../../../engine/orders/ledger';
import type { ItemId } from '../../../engine/orders/order';
import { parseItem } from '../../../engine/stock/results';
import { freeUnitsKey, itemKeys, saleKey } from '../../../engine/stock/keys';
import { defineLedgerScripts } from '../../../engine/stock/scripts';

/** Puts units on sale under an item of its own. */
export async function putOnSale(
  redis: RedisConnection,
  units: number,
  sale: Readonly<Record<string, number>> = {},
): Promise<ItemId> {
  const itemId = `bench-${randomBytes(4).toString('hex')}` as ItemId;
  for (const [field, value] of Object.entries(sale))
    await redis.hset(saleKey(itemId), field, value);
  await redis.set(freeUnitsKey(itemId), units);
  return itemId;
}

/** An item's stock in one instant. */
export async function stockOf(redis: RedisConnection, itemId: ItemId): Promise<StockCounts> {
  defineLedgerScripts(redis);
  const item = parseItem(await redis.ledgerItem(...itemKeys(itemId)));
  if (!item) throw new Error(`There is no item ${itemId}`);
  return item.counts;
}

/** A prefix for the request_ids of one load. */
export function freshPrefix(): string {
  return `req-${randomBytes(6).toString('hex')}`;
}
