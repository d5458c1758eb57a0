import type { ItemId } from '../engine/orders/order';
import { freeUnitsKey, saleKey } from '../engine/stock/keys';
import type { RedisAccess } from '../platform/config/access';
import { withRedis } from '../platform/redis';

/** The item of the first purchase in the README. Set-up and the local stack put it on sale. */
export const DEMO_ITEM = '101' as ItemId;
const DEMO_UNITS = 100;

/**
 * Puts the demo item on sale. An item that exists keeps its data, also with 0 units. Returns a description of its stock.
 * Throws when Redis does not reply.
 */
export async function putDemoItemOnSale(redisAccess: RedisAccess | string): Promise<string> {
  return withRedis(redisAccess, async (redis) => {
    const key = freeUnitsKey(DEMO_ITEM);
    const created = await redis.set(key, DEMO_UNITS, 'NX');
    await redis.hsetnx(saleKey(DEMO_ITEM), 'price', '1000');
    await redis.hsetnx(saleKey(DEMO_ITEM), 'currency', 'USD');
    if (created === 'OK') return `${DEMO_UNITS} units at 10.00 USD`;
    return `${(await redis.get(key)) ?? 'no'} units left from before`;
  });
}
