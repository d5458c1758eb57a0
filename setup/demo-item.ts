import type { ItemId } from '../engine/orders/order';
import { freeUnitsKey, saleKey } from '../engine/stock/keys';
import type { RedisAccess } from '../platform/config/access';
import { withRedis } from '../platform/redis';

/** The item of the first curl. A literal that is plainly an id needs no parser. */
export const DEMO_ITEM = '101' as ItemId;
const DEMO_UNITS = 100;

/**
 * Puts the demo item on sale unless it was before: data that is there, also a count of 0, stays. Answers what there
 * is now, for people. Throws when Redis does not answer.
 */
export async function putDemoItemOnSale(redisAccess: RedisAccess | string): Promise<string> {
  return withRedis(redisAccess, async (redis) => {
    const key = freeUnitsKey(DEMO_ITEM);
    const made = await redis.set(key, DEMO_UNITS, 'NX');
    await redis.hsetnx(saleKey(DEMO_ITEM), 'price', '1000');
    await redis.hsetnx(saleKey(DEMO_ITEM), 'currency', 'USD');
    if (made === 'OK') return `${DEMO_UNITS} units at 10.00 USD`;
    return `${(await redis.get(key)) ?? 'no'} units left from before`;
  });
}
