import type { RedisConnection } from '../../platform/redis';
import type { ItemId } from '../../engine/orders/order';
import { ordersKey } from '../../engine/stock/keys';

/** Moves the lease end of every hold of an item into the past, so that a test need not wait for the server's clock. */
export async function endLeases(redis: RedisConnection, itemId: ItemId): Promise<void> {
  const entries = await redis.hgetall(ordersKey(itemId));
  for (const [requestId, raw] of Object.entries(entries)) {
    const entry = JSON.parse(raw) as { state: string };
    if (entry.state !== 'held') continue;
    const over = JSON.stringify({ ...entry, lease_until: 1 });
    await redis.hset(ordersKey(itemId), requestId, over);
    await redis.zadd(`{inventory:${itemId}}:leases`, 1, requestId);
  }
}
