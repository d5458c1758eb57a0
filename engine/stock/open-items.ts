import type { ItemId } from '../orders/order';
import type { RedisConnection } from '../../platform/redis';
import { countsKey, itemOfCountsKey } from './keys';

/** Keys that the server looks at in one call: a millisecond. */
const KEYS_PER_CALL = 1_000;

/**
 * Every item whose ledger is open in Redis. Looks at all keys, of a Cluster on every master: about two seconds for a million
 * orders. For set-up and for now and then.
 */
export async function findOpenItems(redis: RedisConnection): Promise<readonly ItemId[]> {
  const items = new Set<ItemId>();
  for (const node of 'nodes' in redis ? redis.nodes('master') : [redis]) {
    let cursor = '0';
    do {
      const [next, keys] = await node.scan(
        ...([cursor, 'MATCH', countsKey('*' as ItemId), 'COUNT', KEYS_PER_CALL] as const),
      );
      for (const key of keys) {
        const itemId = itemOfCountsKey(key);
        if (itemId !== undefined && (await redis.hexists(key, 'opened')) === 1) items.add(itemId);
      }
      cursor = next;
    } while (cursor !== '0');
  }
  return [...items];
}
