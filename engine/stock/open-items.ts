import type { ItemId } from '../orders/order';
import type { RedisConnection } from '../../platform/redis';
import { adjustmentsKey, countsKey, itemOfKey } from './keys';

/** Keys that the server looks at in one call: a millisecond. */
const KEYS_PER_CALL = 1_000;

/** Every item whose ledger is open in Redis. For set-up and for now and then, as is what follows. */
export async function findOpenItems(redis: RedisConnection): Promise<readonly ItemId[]> {
  const items: ItemId[] = [];
  for (const itemId of await findItems(redis, countsKey)) {
    if ((await redis.hexists(countsKey(itemId), 'opened')) === 1) items.push(itemId);
  }
  return items;
}

/** Every item whose stock or sale has changed since they are recorded, also one that is lost or was never opened. */
export function findAdjustedItems(redis: RedisConnection): Promise<readonly ItemId[]> {
  return findItems(redis, adjustmentsKey);
}

/**
 * Every item that has the key. Looks at all keys, of a Cluster on every master: about two seconds for a million orders.
 */
async function findItems(
  redis: RedisConnection,
  keyOf: (itemId: ItemId) => string,
): Promise<readonly ItemId[]> {
  const items = new Set<ItemId>();
  for (const node of 'nodes' in redis ? redis.nodes('master') : [redis]) {
    let cursor = '0';
    do {
      const [next, keys] = await node.scan(
        ...([cursor, 'MATCH', keyOf('*' as ItemId), 'COUNT', KEYS_PER_CALL] as const),
      );
      for (const key of keys) {
        const itemId = itemOfKey(key);
        if (itemId !== undefined) items.add(itemId);
      }
      cursor = next;
    } while (cursor !== '0');
  }
  return [...items];
}
