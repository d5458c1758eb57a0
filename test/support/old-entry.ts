import type { Order } from '../../engine/orders/order';
import { ordersKey } from '../../engine/stock/keys';
import type { RedisConnection } from '../../platform/redis';

/** Makes the entry of an order one of those that were written before there were order ids. */
export async function makeOld(
  redis: RedisConnection,
  { itemId, requestId }: Pick<Order, 'itemId' | 'requestId'>,
): Promise<void> {
  const raw = await redis.hget(ordersKey(itemId), requestId);
  if (raw === null) throw new Error(`${requestId} has no entry`);
  const old = JSON.stringify({ ...(JSON.parse(raw) as object), order_id: undefined });
  await redis.hset(ordersKey(itemId), requestId, old);
}
